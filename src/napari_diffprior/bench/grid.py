"""``auto`` beside a grid search over samplers, steps and weights: what choosing by hand, with the truth, would gain."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from ..registry import find
from ..samplers.contract import Chooser
from .scoring import Say, Settings, attempt_score, chosen_samplers
from .tables import Column
from .tasks import TASKS, make_task

Array = np.ndarray[Any, Any]

AUTO = "auto"
NUMBERS = {"diffpir": {"lambda_": (0.5, 1.0, 7.0), "zeta": (0.3, 1.0)}}  # tried beside a sampler's published weights
COLUMNS = [
    Column("task", "task"),
    Column("sampler", "sampler"),
    Column("settings", "settings"),
    Column("psnr", "PSNR", ".2f", "high"),
    Column("behind", "auto ahead by", "+.2f"),
    Column("calls", "calls", ".0f"),
    Column("seconds", "seconds", ".1f"),
]


def grid(
    pictures: Sequence[Array],
    settings: Settings,
    samplers: Sequence[str] = (),
    names: Sequence[str] = (),
    steps: Sequence[int] = (20, 50),
    say: Say = str,
) -> list[dict[str, Any]]:
    """Rows of the table: ``auto`` first, then every sampler with each choice of its modes at each number of steps.

    Parameters
    ----------
    pictures : sequence of ndarray
        Clean pictures; figures are means over them.
    settings : Settings
        Without steps: ``auto`` chooses them.
    samplers : sequence of str
        Empty for all that are registered.
    names : sequence of str
        Tasks; empty for all six.
    steps : sequence of int
        Of the grid.
    say : callable
        Is told each row when it is there.

    Returns
    -------
    list of dict
        ``behind`` is the PSNR of ``auto`` minus that of the row; ``note`` holds a sampler's refusal.
    """
    rows = []
    for name in names or TASKS:
        tasks = [make_task(name, picture, seed=settings.seed) for picture in pictures]
        best = 0.0
        for sampler, options in [(AUTO, {}), *settings_of(chosen_samplers(samplers), steps)]:
            found, refusal = attempt_score(tasks, sampler, settings, options)
            best = found.psnr if sampler == AUTO else best
            words = ", ".join(f"{key} {value}" for key, value in options.items())
            row = {"task": name, "sampler": sampler, "settings": words, "psnr": found.psnr, "behind": best - found.psnr}
            rows.append({**row, "calls": found.calls, "seconds": found.seconds, "note": refusal})
            say(f"{name} {sampler} {words}: {refusal or f'{found.psnr:.2f} dB, auto {best - found.psnr:+.2f}'}")
    return rows


def settings_of(samplers: Sequence[str], steps: Sequence[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each sampler with each choice of its modes, and other numbers for its weights, at each number of steps.

    Samplers that leave the work to another are left out.
    """
    for name in samplers:
        cls = find("sampler", name)
        if issubclass(cls, Chooser):
            continue
        hints = typing.get_type_hints(cls)
        modes = {field: typing.get_args(hint) for field, hint in hints.items() if typing.get_origin(hint) is typing.Literal}
        choices: list[dict[str, Any]] = [{field: choice} for field, values in modes.items() for choice in values] or [{}]
        if numbers := NUMBERS.get(name):
            combined = (dict(zip(numbers, values, strict=True)) for values in product(*numbers.values()))
            choices += [{"weights": "published", **each} for each in combined]
        for count in steps:
            yield from ((name, {"steps": count, **choice}) for choice in choices)
