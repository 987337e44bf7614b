"""Noise level of an image, estimated from the image itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

PATCH = 6  # pixels of a side
FEWEST_PATCHES, MOST_PATCHES = 2000, 50_000


def estimate_sigma(image: np.ndarray[Any, Any], measured: np.ndarray[Any, Any] | None = None) -> float:
    """Noise standard deviation of an image, from small groups of measured pixels.

    The diagonal Haar detail (a - b - c + d) / 2 of a 2 x 2 block has the noise's deviation and hardly sees smooth
    structure; its median absolute value is robust to edges (Donoho & Johnstone 1994). Where gaps leave few blocks,
    second differences of three pixels in a line join in, and differences of neighbours where those are few too.
    Texture raises that, outliers do not; for the smallest eigenvalues of the patches' covariance (`flat_patches`) it is the
    other way round: the lower of the two estimates counts.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    measured : ndarray of bool, shape (H, W), optional
        All by default.

    Returns
    -------
    float
        In the image's units; never below 0.1 % of the measured range, so that a noise-free image can be restored.
    """
    values, known = image, np.ones(image.shape, bool) if measured is None else measured
    details = _stencil(values, known, [[1, -1], [-1, 1]])
    if len(details) < 1000:
        details = np.concatenate([details, *(_stencil(values, known, line) for line in ([[1, -2, 1]], [[1], [-2], [1]]))])
    if len(details) < 64:
        details = np.concatenate([_stencil(values, known, line) for line in ([[1, -1]], [[1], [-1]])])
    floor = max(1e-3 * float(np.ptp(values[known])), 1e-12)
    if not len(details):
        return floor
    return max(min(float(np.median(np.abs(details))) / 0.6745, flat_patches(values, known)), floor)


def flat_patches(image: np.ndarray[Any, Any], measured: np.ndarray[Any, Any]) -> float:
    """Noise standard deviation from the directions in which patches of an image do not vary but for the noise.

    Structure lives in few directions of the space of patches, noise in all: the largest eigenvalues of the patches'
    covariance are dropped until the rest has its mean at its median (Chen, Zhu & Heng 2015, ICCV, algorithm 1).

    Parameters
    ----------
    image : ndarray, shape (H, W)
    measured : ndarray of bool, shape (H, W)
        Only whole patches count.

    Returns
    -------
    float
        Infinite where there are too few patches to tell.
    """
    if min(image.shape) < PATCH:
        return math.inf
    step = max(1, math.isqrt(image.size // MOST_PATCHES))
    patches, known = (
        np.lib.stride_tricks.sliding_window_view(array, (PATCH, PATCH))[::step, ::step] for array in (image, measured)
    )
    chosen = patches[known.all((2, 3))].reshape(-1, PATCH**2).astype(np.float64)
    if len(chosen) < FEWEST_PATCHES:
        return math.inf
    chosen -= chosen.mean(0)
    levels = np.linalg.eigvalsh(chosen.T @ chosen / len(chosen))
    rest = next((levels[:n] for n in range(len(levels), 1, -1) if levels[:n].mean() <= np.median(levels[:n])), levels[:1])
    return math.sqrt(max(float(rest.mean()), 0.0))


def _stencil(values: np.ndarray[Any, Any], known: np.ndarray[Any, Any], weights: Sequence[Sequence[int]]) -> np.ndarray[Any, Any]:
    """Weighted sums over all windows of measured pixels only, scaled so that white noise keeps its deviation."""
    height, width = (side - len(line) + 1 for side, line in zip(values.shape, (weights, weights[0]), strict=True))
    if height < 1 or width < 1:
        return np.zeros(0)
    sums, usable = np.zeros((height, width), np.result_type(values, np.float32)), np.ones((height, width), bool)
    for top, row in enumerate(weights):
        for left, weight in enumerate(row):
            window = np.s_[top : top + height, left : left + width]
            sums += sums.dtype.type(weight) * values[window]
            usable &= known[window]
    found: np.ndarray[Any, Any] = sums[usable] / math.sqrt(sum(weight**2 for row in weights for weight in row))
    return found
