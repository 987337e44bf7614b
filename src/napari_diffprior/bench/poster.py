"""The table that the project starts from: three methods, three tasks, three start noises; then every other sampler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .scoring import Say, Settings, attempt_score, chosen_samplers
from .tables import Column
from .tasks import make_task

Array = np.ndarray[Any, Any]

TASKS = ("deblur", "scattered", "hole")
# Name in the table, sampler, options. SDEdit edits once, so that each method makes T network calls; DPS comes as
# published, with a fixed scale, and with the weight that follows from noise and calibration.
METHODS: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("sdedit", "sdedit", {"repeats": 1}),
    ("score_ald", "score_ald", {}),
    ("dps, fixed scale", "dps", {"guidance": "norm"}),
    ("dps, calibrated", "dps", {"guidance": "calibrated"}),
)
STARTS = (300, 400, 500)
COLUMNS = [
    Column("method", "method"),
    Column("start", "T"),
    *(
        column
        for task in TASKS
        for column in (
            Column(f"{task}_psnr", f"{task} PSNR", ".2f", "high"),
            Column(f"{task}_lpips", f"{task} LPIPS", ".4f", "low"),
        )
    ),
]


def poster(
    pictures: Sequence[Array],
    settings: Settings,
    samplers: Sequence[str] = (),
    starts: Sequence[int] = STARTS,
    thin: int = 1,
    say: Say = str,
) -> list[dict[str, Any]]:
    """Rows of the table.

    Parameters
    ----------
    pictures : sequence of ndarray
        Clean pictures; figures are means over them.
    settings : Settings
        Its ``samples`` are averaged; 1 for the poster's way.
    samplers : sequence of str
        Samplers that follow with their defaults; empty for all that are registered, the three among them.
    starts : sequence of int
        Timesteps T of 1000 at which the three methods begin. Each makes T network calls, as on the poster.
    thin : int
        Timesteps to a step: 1 as on the poster, 10 for a tenth of the work.
    say : callable
        Is told each row when it is there.

    Returns
    -------
    list of dict
        ``method``, ``start`` (None for defaults), and PSNR and LPIPS of each task; NaN where a sampler refuses.
    """
    tasks = {name: [make_task(name, picture, seed=settings.seed) for picture in pictures] for name in TASKS}
    rows = []
    for method, sampler, start, options in _runs(starts, thin, chosen_samplers(samplers)):
        row: dict[str, Any] = {"method": method, "start": start}
        for name, damaged in tasks.items():
            found, refusal = attempt_score(damaged, sampler, settings, options)
            row |= {f"{name}_psnr": found.psnr, f"{name}_lpips": found.lpips}
            say(f"{method} {start or 'defaults'} {name}: {refusal or f'{found.psnr:.2f} / {found.lpips:.4f}'}")
        rows.append(row)
    return rows


def _runs(starts: Sequence[int], thin: int, samplers: Sequence[str]) -> Iterator[tuple[str, str, int | None, dict[str, Any]]]:
    for start in starts:
        for label, sampler, options in METHODS:
            yield label, sampler, start, {"start": start, "steps": max(1, start // thin), **options}
    for sampler in samplers:
        yield sampler, sampler, None, {}
