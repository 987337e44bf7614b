"""A prior beside the best classical method of each task: what it is worth to somebody who restores with it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..metrics import psnr
from ..registry import nearest
from ..train.data import TrainingImage, family, read_folder
from .baselines import baselines
from .pictures import SPAN, spread
from .tables import Column
from .tasks import Task, make_task

if TYPE_CHECKING:
    from ..priors.network import NetworkPrior

Array = np.ndarray[Any, Any]
Say = Callable[[str], Any]

RANGE = 2.0  # of the model's units: noise levels and PSNR refer to it
NOISE = 0.02  # 1 % of it, for gaps and blur
ROWS = (*(("denoise", level) for level in (0.05, 0.1, 0.2, 0.5)), *((gap, NOISE) for gap in ("scattered", "hole", "deblur")))
COLUMNS = [
    Column("data", "data"),
    Column("images", "images", ".0f"),
    Column("task", "task of"),
    Column("prior", "prior", ".2f"),
    Column("baseline", "best baseline", ".2f"),
    Column("gain", "gain", "+.2f"),
    Column("method", "which is"),
    Column("others", "others"),
]


@dataclass(frozen=True)
class PriorBench:
    """What is measured, and with what.

    Parameters
    ----------
    prior : str
        Name or folder.
    images : int
        Crops of each collection of pictures.
    size : int
        Side of a crop.
    samples : int
        Posterior samples whose mean is measured, for gaps and blur.
    sampler : str
        What draws them.
    tasks : tuple of str
        Tasks by name, with all of their noise levels; empty for all.
    seed : int
        Seed of damage and samples.
    device : str
    """

    prior: str = "microscopy"
    images: int = 10
    size: int = 128
    samples: int = 8
    sampler: str = "decoupled"
    tasks: tuple[str, ...] = ()
    seed: int = 0
    device: str = "auto"


def prior_table(collections: Mapping[str, Sequence[Path]], settings: PriorBench, say: Say = str) -> list[dict[str, Any]]:
    """Rows of the table: means over the images of each collection, decibels.

    Denoising is one network call at the noise's sigma; gaps and blur are the mean of samples of ``restore``. Each
    baseline has the best setting of each single image, chosen by the truth. The PSNR of a hole is that of its missing
    pixels alone. Units are the model's: a picture's 0.1 and 99.9 percentiles are -1 and 1.

    Parameters
    ----------
    collections : mapping of str to sequence of Path
        Clean pictures by the name of their collection.
    settings : PriorBench
    say : callable
        Is told each row when it is there.

    Raises
    ------
    ValueError
        If there is no such task, or there are too few pictures.
    """
    from ..device import choose_device
    from ..priors.store import load_prior

    known = list(dict.fromkeys(name for name, _ in ROWS))
    for name in settings.tasks:
        if name not in known:
            raise ValueError(f"there is no task {name!r}; {nearest(name, known)}.")
    device = choose_device(settings.device)
    prior = load_prior(settings.prior, device.name, device.precision)
    rows = []
    for data, paths in collections.items():
        pictures = unseen_pictures(paths, settings.size, settings.images)
        for name, noise in (row for row in ROWS if row[0] in (settings.tasks or known)):
            tasks = [make_task(name, picture, noise, settings.seed + i, SPAN) for i, picture in enumerate(pictures)]
            row = {"data": data, "images": len(tasks), "task": f"{name} {noise:g}", **_compare(tasks, prior, settings)}
            rows.append(row)
            say(f"{data} {row['task']}: {row['prior']:.2f} dB, {row['method']} {row['baseline']:.2f} dB, {row['gain']:+.2f}")
    return rows


def unseen_pictures(paths: Sequence[Path], size: int, count: int) -> list[Array]:
    """Crops as `spread` chooses them, in model units; images related to training images are left out.

    Raises
    ------
    ValueError
        If there are fewer crops.
    """
    images = [image for image in read_folder(paths, size)[0] if family(image.source) not in _trained_on(image)]
    return [RANGE * crop - 1 for crop in spread([image.pixels for image in images], size, count)]


def _trained_on(image: TrainingImage) -> set[str]:
    """Recordings of which the manifest beside the image puts something into the training set."""
    for place in image.path.parents[:2]:
        if (manifest := place / "manifest.csv").is_file():
            with manifest.open(newline="") as lines:
                rows = [row for row in csv.DictReader(lines) if row.get("split") == "train"]
            return {family(f"{row['collection']}/{row['source']}") for row in rows}
    return set()


def _compare(tasks: Sequence[Task], prior: NetworkPrior, settings: PriorBench) -> dict[str, Any]:
    """Mean PSNR of the prior and of each baseline."""
    ours = float(np.mean([_quality(task, _restored(task, prior, settings)) for task in tasks]))
    classical: dict[str, list[float]] = {}
    for task in tasks:
        for found in baselines(task):
            classical.setdefault(found.family, []).append(_quality(task, found.restored))
    means = {name: float(np.mean(values)) for name, values in classical.items()}
    first = max(means, key=lambda name: means[name])
    others = ", ".join(f"{name} {value:.2f}" for name, value in means.items() if name != first)
    return {"prior": ours, "baseline": means[first], "gain": ours - means[first], "method": first, "others": others}


def _restored(task: Task, prior: NetworkPrior, settings: PriorBench) -> Array:
    import torch

    from ..priors.contract import denoise
    from ..restoration import restore

    if task.mask is None and task.psf is None:
        x = torch.as_tensor(task.image, dtype=torch.float32)[None, None].to(next(prior.network.parameters()).device)
        return np.asarray(denoise(prior, x, task.noise)[0, 0].double().cpu().numpy())
    options: dict[str, Any] = {
        "prior": settings.prior,
        "samples": settings.samples,
        "sampler": settings.sampler,
        "seed": settings.seed,
        "device": settings.device,
    }
    return np.asarray(restore(task.image, **task.settings(), **options).mean)


def _quality(task: Task, restored: Array) -> float:
    """PSNR in the model's range; of a hole, what was missing."""
    if task.name == "hole":
        return psnr(restored[task.mask], task.reference[task.mask], RANGE)
    return psnr(restored, task.reference, RANGE)
