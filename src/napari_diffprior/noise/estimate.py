"""Noise level of an image, estimated from the image itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def estimate_sigma(image: np.ndarray[Any, Any], measured: np.ndarray[Any, Any]) -> float:
    """Noise standard deviation of an image, from differences within small groups of measured pixels.

    The diagonal Haar detail (a - b - c + d) / 2 of a 2 x 2 block has the noise's deviation and hardly sees smooth
    structure; its median absolute value is robust to edges (Donoho & Johnstone 1994). Where gaps leave few blocks,
    second differences of three pixels in a line join in, and differences of neighbours where those are few too.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    measured : ndarray of bool, shape (H, W)

    Returns
    -------
    float
        In the image's units; never below 0.1 % of the measured range, so that a noise-free image can be restored.
    """
    values, known = image, measured
    details = _stencil(values, known, [[1, -1], [-1, 1]])
    if len(details) < 1000:
        details = np.concatenate([details, *(_stencil(values, known, line) for line in ([[1, -2, 1]], [[1], [-2], [1]]))])
    if len(details) < 64:
        details = np.concatenate([_stencil(values, known, line) for line in ([[1, -1]], [[1], [-1]])])
    floor = max(1e-3 * float(np.ptp(values[known])), 1e-12)
    return max(float(np.median(np.abs(details))) / 0.6745, floor) if len(details) else floor


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
