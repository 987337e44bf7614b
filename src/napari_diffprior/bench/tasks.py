"""Six ways to damage a clean picture, each as the settings that ``restore`` needs to undo it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from ..psf import gaussian_psf
from ..registry import nearest

Array = np.ndarray[Any, Any]

MISSING, HOLE, SIGMA, MOTION = 0.7, 32, 2.0, (11, 30.0)


@dataclass(frozen=True)
class Task:
    """A damaged picture and what it should have been.

    Parameters
    ----------
    name : str
    image : ndarray, shape (h, w)
        The measurement, in the picture's units; missing pixels hold the lowest measured value.
    reference : ndarray, shape (h, w)
        The truth on the same grid.
    noise : float
        Standard deviation of the noise, in the picture's units.
    mask : ndarray of bool, shape (h, w), optional
        True where pixels are missing.
    psf : ndarray, optional
        Point spread function of the blur.
    """

    name: str
    image: Array
    reference: Array
    noise: float
    mask: Array | None = None
    psf: Array | None = None

    def settings(self) -> dict[str, Any]:
        """Keyword arguments of ``restore`` but for the image and the sampler."""
        return {"mask": self.mask, "psf": self.psf, "noise": self.noise}


@dataclass(frozen=True)
class Plan:
    """How a task is made, and its two noise levels in shares of the picture's range."""

    damage: Callable[[str, Array, float, np.random.Generator], Task]
    noise: tuple[float, float]


def _gaps(name: str, picture: Array, noise: float, rng: np.random.Generator, mask: Array) -> Task:
    noisy = picture + noise * rng.standard_normal(picture.shape)
    return Task(name, np.where(mask, noisy[~mask].min(), noisy), picture, noise, mask=mask)


def _scattered(name: str, picture: Array, noise: float, rng: np.random.Generator) -> Task:
    return _gaps(name, picture, noise, rng, np.asarray(rng.random(picture.shape) < MISSING))


def _hole(name: str, picture: Array, noise: float, rng: np.random.Generator) -> Task:
    """A square in the middle; a quarter of the side of pictures that are smaller than 128 pixels."""
    side = min(HOLE, min(picture.shape) // 4)
    mask = np.zeros(picture.shape, bool)
    top, left = ((length - side) // 2 for length in picture.shape)
    mask[top : top + side, left : left + side] = True
    return _gaps(name, picture, noise, rng, mask)


def _blurred(name: str, picture: Array, noise: float, rng: np.random.Generator, psf: Array) -> Task:
    """Only pixels whose whole surroundings are in the picture: a real blur does not wrap."""
    from scipy.signal import fftconvolve

    blurred = fftconvolve(picture, psf, mode="valid")
    top, left = (side // 2 for side in psf.shape)
    reference = picture[top : top + blurred.shape[0], left : left + blurred.shape[1]]
    return Task(name, blurred + noise * rng.standard_normal(blurred.shape), reference, noise, psf=psf)


def _deblur(name: str, picture: Array, noise: float, rng: np.random.Generator) -> Task:
    return _blurred(name, picture, noise, rng, gaussian_psf(SIGMA))


def _motion(name: str, picture: Array, noise: float, rng: np.random.Generator) -> Task:
    return _blurred(name, picture, noise, rng, motion_psf(*MOTION))


def _denoise(name: str, picture: Array, noise: float, rng: np.random.Generator) -> Task:
    return Task(name, picture + noise * rng.standard_normal(picture.shape), picture, noise)


def motion_psf(length: int, angle: float) -> Array:
    """Straight motion at an even speed, sampled ten times a pixel and shared among the four neighbours.

    Parameters
    ----------
    length : int
        Way in pixels, odd.
    angle : float
        Degrees from the x axis towards y.

    Returns
    -------
    ndarray, shape (length + 2, length + 2)
        Sums to 1.
    """
    way = np.linspace(-(length - 1) / 2, (length - 1) / 2, 10 * length)
    points = np.stack([way * np.sin(np.radians(angle)), way * np.cos(np.radians(angle))]) + (length + 1) / 2
    corner = np.floor(points).astype(int)
    share = points - corner
    psf = np.zeros((length + 2, length + 2))
    for down in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - down - share[0]) * np.abs(1 - right - share[1])
            np.add.at(psf, (corner[0] + down, corner[1] + right), weight)
    return np.asarray(psf / psf.sum())


TASKS: Mapping[str, Plan] = MappingProxyType(
    {
        "scattered": Plan(_scattered, (0.01, 0.05)),
        "hole": Plan(_hole, (0.01, 0.05)),
        "deblur": Plan(_deblur, (0.01, 0.05)),
        "motion": Plan(_motion, (0.01, 0.05)),
        "denoise": Plan(_denoise, (0.05, 0.1)),
        "denoise more": Plan(_denoise, (0.1, 0.2)),
    }
)


def make_task(name: str, picture: Array, noise: float | None = None, seed: int = 0, span: float | None = None) -> Task:
    """Damage a clean picture.

    Parameters
    ----------
    name : str
        ``scattered``: 70 % of the pixels missing; ``hole``: a square of 32 pixels missing; ``deblur``: Gaussian blur of
        sigma 2 pixels; ``motion``: 11 pixels of motion; ``denoise`` and ``denoise more``: noise alone.
    picture : ndarray, shape (H, W)
        The truth, in any unit.
    noise : float, optional
        Standard deviation in shares of ``span``; by default the task's first level.
    seed : int
        Seed of the noise and of the missing pixels.
    span : float, optional
        Range in the picture's units; by default its own. A camera's noise is that of the whole picture of which this is a crop.

    Raises
    ------
    ValueError
        If there is no such task, or the picture is constant or too small for it.
    """
    if name not in TASKS:
        raise ValueError(f"there is no task {name!r}; {nearest(name, TASKS)}.")
    truth = np.asarray(picture, dtype=np.float64)
    if truth.ndim != 2 or min(truth.shape) < 32:
        raise ValueError(f"a task needs a 2-D picture of at least 32 x 32 pixels, not {truth.shape}.")
    if not np.ptp(truth) > 0:
        raise ValueError("the picture is constant: there is nothing to restore.")
    plan = TASKS[name]
    level = plan.noise[0] if noise is None else noise
    return plan.damage(name, truth, level * float(np.ptp(truth) if span is None else span), np.random.default_rng(seed))


def make_tasks(picture: Array, seed: int = 0) -> list[Task]:
    """All six tasks of a picture at their first noise level."""
    return [make_task(name, picture, seed=seed) for name in TASKS]
