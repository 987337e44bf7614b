"""Gaussian models of a PSF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

FWHM = 2 * math.sqrt(2 * math.log(2))  # full width at half maximum of a Gaussian, in standard deviations


def gaussian_psf(sigma: float | Sequence[float], truncate: float = 4.0) -> Array:
    """Sampled Gaussian PSF that sums to 1.

    Parameters
    ----------
    sigma : float or sequence of float
        Standard deviation in pixels, above 0; one number is a round 2-D PSF, several are one for each axis.
    truncate : float
        Half width in standard deviations.

    Returns
    -------
    ndarray, shape (2 r + 1, ...)
        With r = ceil(truncate * sigma) for each axis.

    Raises
    ------
    ValueError
        If a sigma is not above 0.
    """
    sigmas = (sigma, sigma) if isinstance(sigma, int | float) else tuple(sigma)
    if not all(value > 0 for value in sigmas):
        raise ValueError(f"a Gaussian PSF needs a sigma above 0 pixels, not {sigma}.")
    lines = []
    for value in sigmas:
        reach = int(np.ceil(truncate * value))
        line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / value) ** 2)
        lines.append(line / line.sum())
    psf: Array = reduce(np.multiply.outer, lines)
    return psf


def gaussian_from_fwhm(fwhm: Sequence[float], voxel: Sequence[float]) -> Array:
    """Gaussian PSF of given full widths at half maximum.

    Parameters
    ----------
    fwhm : sequence of float
        Width along each axis, in the unit of ``voxel``; above 0.
    voxel : sequence of float
        Voxel size of the image along each axis; above 0.

    Returns
    -------
    ndarray, shape (2 r + 1, ...)
        As of ``gaussian_psf``; sum 1.

    Raises
    ------
    ValueError
        If a width or a voxel size is not above 0, or the two differ in length.
    """
    if len(fwhm) != len(voxel):
        raise ValueError(f"{len(fwhm)} widths do not fit {len(voxel)} axes: give one width for each axis.")
    if not all(math.isfinite(length) and length > 0 for length in (*fwhm, *voxel)):
        raise ValueError(f"the widths {tuple(fwhm)} and voxel sizes {tuple(voxel)} must be numbers above 0.")
    return gaussian_psf([width / step / FWHM for width, step in zip(fwhm, voxel, strict=True)])
