"""Covariances of a denoiser's error: by coordinate, or as a power spectrum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..operators.contract import offers
from ..operators.identity import Identity
from ..operators.mask import Mask
from .modes import LocalModes, Modes

if TYPE_CHECKING:
    from torch import Tensor

    from ..rng import NoiseStream

Array = np.ndarray[Any, np.dtype[np.float64]]


class Diagonal:
    """Independent coordinates.

    Parameters
    ----------
    variance : Tensor, shape (C, H, W)
    """

    def __init__(self, variance: Tensor) -> None:
        self.variance = variance
        self.mean_variance = float(variance.mean())

    def apply(self, x: Tensor) -> Tensor:
        """R x."""
        return self.variance * x

    def draw(self, noise: NoiseStream, like: Tensor) -> Tensor:
        """Sample of N(0, R) for each stream."""
        return self.variance.sqrt() * noise.normal(self.variance.shape, like)

    def solve(self, x: Tensor, operator: object, variance: float) -> None:
        """No preconditioner in this basis."""
        return None

    def stiffened(self, stiffness: Tensor) -> Diagonal:
        """(R^-1 + s)^-1 for each entry s of ``stiffness`` (D,): a covariance for images (C, D, H, W)."""
        planes = self.variance[:, None]
        return Diagonal(planes / (1 + stiffness.view(-1, 1, 1) * planes))


class Stationary:
    """Stationary covariance: a power spectrum, applied by FFT on a padded grid so that nothing wraps.

    Parameters
    ----------
    power : Tensor
        Power spectrum on the real-FFT grid of ``grid``; its mean over all frequencies is the pixel variance.
    grid : (int, int)
        FFT shape.
    shape : (int, int, int)
        (C, H, W) of the images; H, W at most ``grid``.
    """

    def __init__(self, power: Tensor, grid: tuple[int, int], shape: Sequence[int]) -> None:
        self.power, self.grid, self.shape = power, grid, tuple(shape)
        # Of the operator of a data step, kept for its iterations.
        self._gain: tuple[Any, float, Tensor] | None = None
        self._modes: tuple[Any, Modes] | None = None

    @cached_property
    def mean_variance(self) -> float:
        """Variance of a pixel, the mean over the images of a batch."""
        return float(self._variance(self.power).mean())

    def _variance(self, power: Tensor) -> Tensor:
        """Mean of each spectrum over the full grid: the sum of the real-FFT columns, which but the outer ones stand for two."""
        columns = power.sum(-2)
        outer = columns[..., 0] + (columns[..., -1] if self.grid[1] % 2 == 0 else 0.0)
        return (2 * columns.sum(-1) - outer).flatten() / math.prod(self.grid)

    def _filter(self, x: Tensor, gain: Tensor) -> Tensor:
        import torch

        spread: Tensor = torch.fft.irfft2(torch.fft.rfft2(x, s=self.grid) * gain, s=self.grid)
        return spread[..., : x.shape[-2], : x.shape[-1]]

    def apply(self, x: Tensor) -> Tensor:
        """R x."""
        return self._filter(x, self.power)

    def draw(self, noise: NoiseStream, like: Tensor) -> Tensor:
        """Sample of N(0, R) for each stream."""
        white = noise.normal((*self.shape[:-2], *self.grid), like)
        return self._filter(white, self.power.sqrt())[..., : self.shape[-2], : self.shape[-1]]

    def stiffened(self, stiffness: Tensor) -> Stationary:
        """(R^-1 + s)^-1 for each entry s of ``stiffness`` (D,): a covariance for images (C, D, H, W)."""
        power = self.power if self.power.ndim == 2 else self.power.unsqueeze(-3)
        power = power / (1 + stiffness.view(-1, 1, 1) * power)
        return Stationary(power, self.grid, (self.shape[0], len(stiffness), *self.shape[1:]))

    def whitened(self, operator: Any) -> Modes | None:
        """Coordinates in which the error is white; None where the operator is no filter of planes."""
        if len(self.shape) != 3 or not offers(operator, "transfer", "response", "embed", "extract"):
            return None
        if self._modes is None or self._modes[0] is not operator:
            self._modes = (operator, self._whiten(operator))
        return self._modes[1]

    def _whiten(self, operator: Any) -> Modes:
        return Modes(self.power, self.grid, self.shape, operator)

    def measured_variance(self, operator: Any) -> Tensor | None:
        """Variance of each image's measured values without noise, shape (B,); None where the operator is no filter of planes."""
        if len(self.shape) != 3 or not offers(operator, "transfer"):
            return None
        return self._variance(self.power * abs(operator.transfer(self.grid)) ** 2)

    @cached_property
    def clumps(self) -> float:
        """Pixels that share one error: (mean P^2) / (mean P)^2 of the spectrum P; 1 for white errors."""
        return float(self._variance(self.power**2).mean()) / self.mean_variance**2

    def gram(self, u: Tensor, operator: Any) -> Tensor | None:
        """A R A^T u in one filter; None where the operator is none."""
        modes = self.whitened(operator)
        return None if modes is None else modes.data(modes.adjoint(u))

    def solve(self, x: Tensor, operator: Any, variance: float) -> Tensor | None:
        """Solution as if the measurement covered the whole periodic grid: the preconditioner of the data step."""
        if hasattr(operator, "precondition"):
            known: Tensor = operator.precondition(x, self.power, self.grid, variance)
            return known
        if not offers(operator, "response", "embed", "extract"):
            return None
        if self._gain is None or self._gain[0] is not operator or self._gain[1] != variance:
            self._gain = (operator, variance, 1 / (operator.response(self.grid) * self.power + variance))
        solution: Tensor = operator.extract(self._filter(operator.embed(x), self._gain[2]))
        return solution


class Measured(Stationary):
    """Covariance measured on held-out images: one image's own error may be larger than theirs, and differ from place to place.

    R = diag(a) S diag(a) with a stationary S.

    Parameters
    ----------
    power, grid, shape
        As of ``Stationary``, of S.
    amplitude : Tensor, shape (B, C, H, W), optional
        a; 1 everywhere if there is none.
    """

    def __init__(self, power: Tensor, grid: tuple[int, int], shape: Sequence[int], amplitude: Tensor | float = 1.0) -> None:
        super().__init__(power, grid, shape)
        self.amplitude = amplitude

    def scaled(self, factor: Tensor) -> Measured:
        """The spectrum times a factor for each image, shape (B,), or for each frequency too, shape (B, 1, *half grid)."""
        return Measured(self.power * factor.view(len(factor), 1, *(factor.shape[2:] or (1, 1))), self.grid, self.shape)

    def seen(self, operator: Any) -> tuple[Tensor, Tensor]:
        """Power of what a measurement sees of the error, and of a flat spectrum, on the real-FFT grid."""
        response = abs(operator.transfer(self.grid)) ** 2 + 0 * self.power
        return response * self.power, response

    def planes_of(self, field: Tensor) -> Tensor:
        """A field (B, C, H, W) as the planes (B, N, H, W) whose spectrum is that of ``seen``."""
        return field

    def in_places(self, local: Tensor) -> Measured:
        """The same with the variance times a factor for each pixel, shape (B, C, H, W)."""
        if bool((local == 1).all()):
            return self
        return Measured(self.power, self.grid, self.shape, local**0.5)

    def apply(self, x: Tensor) -> Tensor:
        """R x."""
        return self.amplitude * super().apply(self.amplitude * x)

    def draw(self, noise: NoiseStream, like: Tensor) -> Tensor:
        """Sample of N(0, R) for each stream."""
        return self.amplitude * super().draw(noise, like)

    def _whiten(self, operator: Any) -> Modes:
        if isinstance(self.amplitude, float):
            return super()._whiten(operator)
        return LocalModes(self.power, self.grid, self.shape, operator, self.amplitude)


class White:
    """Independent coordinates of one variance, for images of any axes.

    Parameters
    ----------
    variance : float
    like : Tensor, shape (B, C, ...)
        Images of the kind that it is for.
    """

    def __init__(self, variance: float, like: Tensor) -> None:
        from scipy.fft import next_fast_len

        self.mean_variance, self.shape = variance, like.shape[1:]
        self._grid = None
        if len(self.shape) == 3:  # of planes: the preconditioner is that of a flat spectrum
            grid = (next_fast_len(self.shape[1] + 32, real=True), next_fast_len(self.shape[2] + 32, real=True))
            self._grid = Stationary(like.new_full((grid[0], grid[1] // 2 + 1), variance), grid, self.shape)

    def apply(self, x: Tensor) -> Tensor:
        """R x."""
        return self.mean_variance * x

    def draw(self, noise: NoiseStream, like: Tensor) -> Tensor:
        """Sample of N(0, R) for each stream."""
        return math.sqrt(self.mean_variance) * noise.normal(self.shape, like)

    def solve(self, x: Tensor, operator: object, variance: float) -> Tensor | None:
        """Solution as if the measurement covered the whole periodic grid; None for volumes and where A A^T is scalar."""
        plain = isinstance(operator, (Identity, Mask))  # solved in one iteration as it is
        return None if plain or self._grid is None else self._grid.solve(x, operator, variance)


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
        return float(np.sqrt(_full_mean(np.interp(_radius((side, side)), self.frequencies, self.at(sigma)), side)))

    def covariance(self, sigma: float, shape: Sequence[int], like: Tensor) -> Measured:
        """Covariance for images of a shape (C, H, W), on a grid padded by at least 32 pixels."""
        import torch
        from scipy.fft import next_fast_len

        grid = (next_fast_len(shape[-2] + 32, real=True), next_fast_len(shape[-1] + 32, real=True))
        power = np.exp(np.interp(_radius(grid), self.frequencies, np.log(self.at(sigma))))
        return Measured(torch.as_tensor(power).to(like), grid, shape)


@lru_cache(maxsize=8)
def _radius(grid: tuple[int, int]) -> Array:
    """Radial frequency on the real-FFT grid, cycles per pixel."""
    radius: Array = np.hypot(np.fft.fftfreq(grid[0])[:, None], np.fft.rfftfreq(grid[1])[None])
    return radius


def _full_mean(half: Array, width: int) -> float:
    """Mean over the full FFT grid of a quantity given on the real-FFT grid."""
    weight = np.full(half.shape[1], 2.0)
    weight[0] = 1.0
    if width % 2 == 0:
        weight[-1] = 1.0
    return float((half * weight).sum() / (half.shape[0] * width))


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
