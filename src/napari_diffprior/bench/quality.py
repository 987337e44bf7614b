"""Every sampler beside the classical baselines on the six tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from .baselines import baselines
from .scoring import Say, Score, Settings, attempt_score, chosen_samplers, mean_score, picture_score
from .tables import Column
from .tasks import TASKS, Task, make_task

Array = np.ndarray[Any, Any]

COLUMNS = [
    Column("task", "task"),
    Column("method", "method"),
    Column("psnr", "PSNR", ".2f", "high"),
    Column("ssim", "SSIM", ".3f", "high"),
    Column("lpips", "LPIPS", ".4f", "low"),
    Column("misfit", "misfit", ".2f"),
    Column("coverage_50", "in 50 %", ".2f"),
    Column("coverage_90", "in 90 %", ".2f"),
    Column("seconds", "seconds", ".1f"),
    Column("calls", "calls", ".0f"),
]


def quality(
    pictures: Sequence[Array], settings: Settings, samplers: Sequence[str] = (), names: Sequence[str] = (), say: Say = str
) -> list[dict[str, Any]]:
    """Rows of the table: first the baselines of each task at their best setting, then the samplers with their defaults.

    Parameters
    ----------
    pictures : sequence of ndarray
        Clean pictures; figures are means over them.
    settings : Settings
    samplers : sequence of str
        Empty for all that are registered.
    names : sequence of str
        Tasks; empty for all six.
    say : callable
        Is told each row when it is there.

    Returns
    -------
    list of dict
        ``task``, ``method``, the measures of `Score`, and ``note`` with a sampler's refusal.
    """
    rows = []
    for name in names or TASKS:
        tasks = [make_task(name, picture, seed=settings.seed) for picture in pictures]
        for method, found, note in (*_classical(tasks), *_sampled(tasks, chosen_samplers(samplers), settings)):
            rows.append({"task": name, "method": method, **asdict(found), "note": note})
            say(f"{name} {method}: {note or f'{found.psnr:.2f} dB, {found.seconds:.1f} s'}")
    return rows


def _classical(tasks: Sequence[Task]) -> Iterator[tuple[str, Score, str]]:
    """Each baseline at its best on each picture; its name without the setting, as that differs between pictures."""
    for found in zip(*(baselines(task) for task in tasks), strict=True):
        pairs = zip(found, tasks, strict=True)
        scores = [picture_score(one.restored, task.reference, one.seconds) for one, task in pairs]
        tried = f", best of {found[0].tried}" if found[0].tried > 1 else ""
        yield f"{found[0].family}{tried}", mean_score(scores), ""


def _sampled(tasks: Sequence[Task], samplers: Sequence[str], settings: Settings) -> Iterator[tuple[str, Score, str]]:
    for sampler in samplers:
        yield (sampler, *attempt_score(tasks, sampler, settings))
