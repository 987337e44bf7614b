"""Whether the truth lies in the interval that a restoration reports, as often as the interval says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .pictures import SPAN
from .scoring import Say, Settings, attempt, chosen_samplers, covered
from .tables import Column
from .tasks import TASKS, Task, make_task

Array = np.ndarray[Any, Any]

LEVELS = (50, 90)
COLUMNS = [
    Column("task", "task"),
    Column("noise", "noise", ".0%"),
    Column("sampler", "sampler"),
    *(Column(f"coverage_{level}", f"in {level} %", ".3f") for level in LEVELS),
    *(Column(f"missing_{level}", f"missing pixels in {level} %", ".3f") for level in LEVELS),
    Column("misfit", "misfit", ".2f"),
    Column("rmse_over_std", "error / std", ".2f"),
]


def coverage_table(
    pictures: Sequence[Array], settings: Settings, samplers: Sequence[str] = (), names: Sequence[str] = (), say: Say = str
) -> list[dict[str, Any]]:
    """Coverage at 50 and 90 % of every sampler, for each task at its two noise levels.

    The interval is the one that the restoration reports to its user, see `scoring.covered`; with up to 18 samples
    mean +- t std. A pixel counts as covered if the truth lies in it; figures are means over pixels and
    pictures.

    Parameters
    ----------
    pictures : sequence of ndarray
        Clean pictures that the prior has not seen, as `clean_pictures` gives them: noise is in shares of `SPAN`.
    settings : Settings
        Two samples or more.
    samplers, names : sequence of str
        Samplers and tasks; empty for all.
    say : callable
        Is told each row when it is there.

    Returns
    -------
    list of dict
        ``missing_50`` and ``missing_90`` count the missing pixels alone (NaN without a mask); ``rmse_over_std`` is the
        root mean square error over the root mean square std, 1 for an honest std.

    Raises
    ------
    ValueError
        If there is one sample only.
    """
    if settings.samples < 2:
        raise ValueError("coverage needs two samples or more: an interval comes from their spread.")
    rows = []
    for name in names or TASKS:
        for noise in TASKS[name].noise if name in TASKS else (None,):
            tasks = [make_task(name, picture, noise, settings.seed, SPAN) for picture in pictures]
            for sampler in chosen_samplers(samplers):
                found, note = _measure(tasks, sampler, settings)
                rows.append({"task": name, "noise": noise, "sampler": sampler, **found, "note": note})
                say(f"{name} {noise:.0%} {sampler}: {note or ' '.join(f'{key} {value:.3f}' for key, value in found.items())}")
    return rows


def _measure(tasks: Sequence[Task], sampler: str, settings: Settings) -> tuple[dict[str, float], str]:
    results, refusal = attempt(tasks, sampler, settings)
    keys = [*(f"{where}_{level}" for where in ("coverage", "missing") for level in LEVELS), "misfit", "rmse_over_std"]
    per_picture = []
    for result, task in zip(results, tasks, strict=bool(results)):
        everywhere = [covered(result, task.reference, level / 100) for level in LEVELS]
        missing = [np.nan if task.mask is None else covered(result, task.reference, level / 100, task.mask) for level in LEVELS]
        error = np.square(result.mean - task.reference).mean() / np.square(result.std).mean()
        per_picture.append([*everywhere, *missing, np.mean(result.misfit), np.sqrt(error)])
    means = np.mean(per_picture, 0) if per_picture else np.full(len(keys), np.nan)
    return dict(zip(keys, means.tolist(), strict=True)), refusal
