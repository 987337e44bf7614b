"""Point spread functions."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]


def gaussian_psf(sigma: float, truncate: float = 4.0) -> Array:
    """Sampled Gaussian PSF that sums to 1.

    Parameters
    ----------
    sigma : float
        Standard deviation in pixels, above 0.
    truncate : float
        Half width in standard deviations.

    Returns
    -------
    ndarray, shape (2 r + 1, 2 r + 1)
        With r = ceil(truncate * sigma).

    Raises
    ------
    ValueError
        If sigma is not above 0.
    """
    if not sigma > 0:
        raise ValueError(f"a Gaussian PSF needs a sigma above 0 pixels, not {sigma}.")
    reach = int(np.ceil(truncate * sigma))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    line /= line.sum()
    return np.outer(line, line)


def prepare_psf(psf: Any) -> Array:
    """Check a 2-D PSF and normalise it to sum 1.

    Parameters
    ----------
    psf : array_like, shape (h, w)
        Peak near the centre (h // 2, w // 2).

    Raises
    ------
    ValueError
        If it is not 2-D, not finite, negative, or zero everywhere.
    """
    values = np.asarray(psf, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"the PSF must be a 2-D image, not {values.ndim}-D: choose one plane of it.")
    if not np.isfinite(values).all():
        raise ValueError("the PSF has pixels that are not finite: replace them first.")
    if values.min() < 0:
        raise ValueError("the PSF has negative pixels: subtract its background first.")
    if not values.sum() > 0:
        raise ValueError("the PSF is zero everywhere: choose another file or layer.")
    normalised: Array = values / values.sum()
    return normalised
