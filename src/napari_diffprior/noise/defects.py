"""Pixels of a camera that do not say how much light there was: those at its ceiling, and hot ones."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

CEILINGS = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))  # of the converters in use
FEWEST, LARGEST_SHARE = 4, 0.1  # pixels at the ceiling that are taken for saturation
OUTSTANDING = 8.0  # deviations of the noise; one Gaussian pixel in 10^9
_SPREAD = 1.704  # expected distance of the second and the seventh of eight standard normal numbers


def saturation_level(image: Array, measured: Array) -> float | None:
    """Ceiling of the camera, if pixels of an image lie at it.

    Parameters
    ----------
    image : ndarray
        As the camera wrote it.
    measured : ndarray of bool
        Of the same shape.

    Returns
    -------
    float or None
        The largest value, where it is the largest number of 8, 10, 12, 14 or 16 bits and 4 pixels or more, and at most
        a tenth of all, have it. None otherwise, and for images that do not hold whole numbers.
    """
    if image.dtype.kind not in "ui":
        return None
    values = image[measured]
    top = int(values.max())
    count = int(np.count_nonzero(values == top))
    return float(top) if top in CEILINGS and FEWEST <= count <= LARGEST_SHARE * values.size else None


def hot_pixels(image: Array, measured: Array) -> Array:
    """Single pixels that stand out of their eight neighbours by far more than noise and structure explain.

    A pixel is hot if it lies 8 deviations above the median of its neighbours. The deviation is that of the image's
    noise, or that of the neighbours where it is larger: by the distance of the second and the seventh of them, so that
    one more hot pixel among them does not matter. What an objective images is wider than that, if the pixels are not
    much larger than they should be: of a spot with a standard deviation of 0.7 pixels nothing is taken away.

    Parameters
    ----------
    image : ndarray, shape (..., H, W)
        Planes; each is looked at by itself.
    measured : ndarray of bool
        Of the same shape.

    Returns
    -------
    ndarray of bool
        Of the same shape; True only where a pixel was measured.
    """
    if image.ndim > 2:
        return np.stack([hot_pixels(plane, known) for plane, known in zip(image, measured, strict=True)])
    from scipy.ndimage import rank_filter

    from .camera import nearest_measured
    from .estimate import estimate_sigma

    if not measured.any():
        return np.zeros(image.shape, bool)
    filled = nearest_measured(image, measured)
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    low, median, high = (rank_filter(filled, rank, footprint=ring, mode="mirror") for rank in (1, 4, 6))
    deviation = np.maximum((high - low) / _SPREAD, estimate_sigma(image, measured))
    hot: Array = measured & (filled - median > OUTSTANDING * deviation)
    return hot
