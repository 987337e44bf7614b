"""Radial power spectra of a denoiser's error, measured at several noise levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..half_grid import column_weights, radius
from .covariance import Measured

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class SpectrumTable:
    """Radial power spectra measured at several noise levels, as stored in prior.json.

    Parameters
    ----------
    sigmas : ndarray, shape (S,)
        Increasing noise levels; the last may be infinite and then holds the spectrum of the data.
    frequencies : ndarray, shape (F,)
        Radial frequencies in cycles per pixel, increasing from 0.
    power : ndarray, shape (S, F)
        Power, normalised so that its mean over all frequencies of a grid is the pixel variance.
    """

    sigmas: Array
    frequencies: Array
    power: Array

    def at(self, sigma: float) -> Array:
        """Spectrum at a noise level, linear in the logarithms; proportional to sigma^2 below the table."""
        levels, table = np.log(self.sigmas[:-1]), np.log(self.power[:-1])
        if math.isinf(sigma):
            data: Array = self.power[-1]
            return data
        place = np.interp(math.log(sigma), levels, np.arange(len(levels)))  # of sigma among the levels
        below, above = table[int(place)], table[math.ceil(place)]
        logs = below + (place - int(place)) * (above - below)
        power: Array = np.exp(logs + 2 * min(0.0, math.log(sigma) - levels[0]))
        return power

    def error_rms(self, sigma: float) -> float:
        """Root mean square error of the denoiser at a noise level."""
        side = max(2, round(1 / self.frequencies[1]))  # of the patches it was measured on: elsewhere the mean counts wrongly
        power: Array = np.interp(radius((side, side)), self.frequencies, self.at(sigma))
        return float(math.sqrt((power * column_weights(side)).sum()) / side)

    def covariance(self, sigma: float, shape: Sequence[int], like: Tensor) -> Measured:
        """Covariance for images of a shape (C, H, W), on a grid padded by at least 32 pixels."""
        import torch
        from scipy.fft import next_fast_len

        grid = (next_fast_len(shape[-2] + 32, real=True), next_fast_len(shape[-1] + 32, real=True))
        power = np.exp(np.interp(radius(grid), self.frequencies, np.log(self.at(sigma))))
        return Measured(torch.as_tensor(power).to(like), grid, shape)


def radial_power(errors: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Radially averaged power spectrum of square images.

    Parameters
    ----------
    errors : ndarray, shape (N, P, P)

    Returns
    -------
    frequencies : ndarray, shape (F,)
        Cycles per pixel: k / P for k = 0, 1, ...
    power : ndarray, shape (F,)
        Mean of |FFT|^2 / P^2 over the ring and the images.
    """
    side = errors.shape[-1]
    power = (np.abs(np.fft.fft2(errors)) ** 2).mean(0) / side**2
    ring = np.rint(np.hypot(*np.meshgrid(*[np.fft.fftfreq(side) * side] * 2))).astype(int)
    counts = np.bincount(ring.ravel())
    return np.arange(len(counts)) / side, np.bincount(ring.ravel(), power.ravel()) / counts


def white_spectrum(sigma_min: float, sigma_max: float) -> SpectrumTable:
    """Stand-in for a prior without calibration: white error sigma^2 / (1 + sigma^2), white data of variance 1."""
    sigmas = np.append(np.geomspace(sigma_min, sigma_max, 16), np.inf)
    power = np.append(sigmas[:-1] ** 2 / (1 + sigmas[:-1] ** 2), 1.0)
    return SpectrumTable(sigmas, np.array([0.0, 1.0]), np.repeat(power[:, None], 2, axis=1))
