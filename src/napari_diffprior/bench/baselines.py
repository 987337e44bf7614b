"""Classical methods at the setting that suits them best, chosen with the truth in hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..metrics import psnr
from .tasks import Task

Array = np.ndarray[Any, Any]
Candidates = Callable[[Task], Iterator[tuple[str, Array]]]

PAD = 16


@dataclass(frozen=True)
class Baseline:
    """Best result of a classical method.

    Parameters
    ----------
    family : str
        Name of the method.
    setting : str
        The best setting; empty if there is nothing to set.
    restored : ndarray, shape of the task's reference
    seconds : float
        Of one setting, the mean over all that were tried.
    tried : int
        Settings tried.
    """

    family: str
    setting: str
    restored: Array
    seconds: float
    tried: int


def baselines(task: Task) -> list[Baseline]:
    """Classical methods that fit a task: gaps, a blur, or noise alone.

    Returns
    -------
    list of Baseline
        ``biharmonic`` for gaps (Damelin & Hoang 2018, as in scikit-image); for a blur ``wiener`` over 17 balances and
        ``richardson lucy`` over 5 to 50 iterations, both with a reflected border and, ``unpadded``, without one; for noise
        ``non local means``, ``total variation`` and ``wavelet`` over their settings. Each is given the noise level or its
        best setting, which a user would not know.
    """
    fitting: tuple[Candidates, ...] = (non_local_means, total_variation, wavelet)
    if task.mask is not None:
        fitting = (biharmonic,)
    elif task.psf is not None:
        fitting = (wiener, richardson_lucy, wiener_unpadded, richardson_lucy_unpadded)
    return [best(task, candidates) for candidates in fitting]


def best(task: Task, candidates: Candidates) -> Baseline:
    """Setting of a method with the highest PSNR; the method's name is that of its function."""
    started = time.perf_counter()
    tried = list(candidates(task))
    seconds = (time.perf_counter() - started) / len(tried)
    setting, restored = max(tried, key=lambda pair: psnr(pair[1], task.reference))
    return Baseline(candidates.__name__.replace("_", " "), setting, restored, seconds, len(tried))


def biharmonic(task: Task) -> Iterator[tuple[str, Array]]:
    """Biharmonic inpainting."""
    from skimage.restoration import inpaint_biharmonic

    yield "", inpaint_biharmonic(task.image, task.mask)


def wiener(task: Task) -> Iterator[tuple[str, Array]]:
    """Wiener filters over a range of balances; the border is padded by reflection."""
    return _wiener(task, PAD)


def wiener_unpadded(task: Task) -> Iterator[tuple[str, Array]]:
    """Wiener filters as they are often called: without a border, so that opposite edges blur into each other."""
    return _wiener(task, 0)


def richardson_lucy(task: Task) -> Iterator[tuple[str, Array]]:
    """Richardson-Lucy; the border is padded by reflection, negative values are cut."""
    return _richardson_lucy(task, PAD)


def richardson_lucy_unpadded(task: Task) -> Iterator[tuple[str, Array]]:
    """Richardson-Lucy as it is often called: without a border, as if all were dark outside."""
    return _richardson_lucy(task, 0)


def non_local_means(task: Task) -> Iterator[tuple[str, Array]]:
    """Non-local means that know the noise."""
    from skimage.restoration import denoise_nl_means

    for strength in (0.4, 0.6, 0.8, 1.0):
        level = strength * task.noise
        yield (
            f"strength {strength:g}",
            denoise_nl_means(task.image, patch_size=5, patch_distance=6, h=level, sigma=task.noise, fast_mode=True),
        )


def total_variation(task: Task) -> Iterator[tuple[str, Array]]:
    """Total variation (Chambolle 2004) over weights in units of the noise."""
    from skimage.restoration import denoise_tv_chambolle

    for weight in np.geomspace(0.3, 4, 8):
        yield f"weight {weight:.2g}", denoise_tv_chambolle(task.image, weight=weight * task.noise)


def wavelet(task: Task) -> Iterator[tuple[str, Array]]:
    """Shrinkage of wavelet coefficients (BayesShrink, Chang et al. 2000), averaged over 16 shifts."""
    from skimage.restoration import denoise_wavelet

    shifts = [(down, right) for down in range(4) for right in range(4)]
    for name in ("db2", "sym4", "bior2.2"):
        for strength in (1.0, 1.5):
            total = np.zeros_like(task.image)
            for shift in shifts:
                moved = np.roll(task.image, shift, (0, 1))
                shrunk = denoise_wavelet(
                    moved, sigma=strength * task.noise, wavelet=name, method="BayesShrink", rescale_sigma=True
                )
                total += np.roll(shrunk, [-step for step in shift], (0, 1))
            yield f"{name}, {strength:g} sigma", total / len(shifts)


def _wiener(task: Task, pad: int) -> Iterator[tuple[str, Array]]:
    from skimage.restoration import wiener as filtered

    padded, back = _padded(task, pad)
    for balance in np.geomspace(1e-4, 1, 17):
        yield f"balance {balance:.2g}", back(filtered(padded, task.psf, balance, clip=False))


def _richardson_lucy(task: Task, pad: int) -> Iterator[tuple[str, Array]]:
    from skimage.restoration import richardson_lucy as iterated

    padded, back = _padded(task, pad)
    for iterations in range(5, 55, 5):
        yield f"{iterations} iterations", back(iterated(np.maximum(padded, 1e-3), task.psf, iterations, clip=False))


def _padded(task: Task, pad: int) -> tuple[Array, Callable[[Array], Array]]:
    """Image with its range mapped to [0, 1] and a border, and the way back."""
    low, span = float(task.image.min()), float(np.ptp(task.image))
    height, width = task.image.shape
    padded = np.pad((task.image - low) / span, pad, mode="reflect")
    return padded, lambda image: np.asarray(image[pad : pad + height, pad : pad + width] * span + low)
