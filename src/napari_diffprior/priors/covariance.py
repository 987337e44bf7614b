"""Covariances of a denoiser's error: by coordinate, or as a power spectrum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..half_grid import column_weights
from ..operators.contract import offers
from ..operators.identity import Identity
from ..operators.mask import Mask
from .modes import LocalModes, Modes, corner

if TYPE_CHECKING:
    from torch import Tensor

    from ..rng import NoiseStream


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
    grid : tuple of int
        FFT shape, of planes or of volumes.
    shape : tuple of int
        (C, H, W) or (C, D, H, W) of the images; each side at most that of ``grid``.
    """

    def __init__(self, power: Tensor, grid: tuple[int, ...], shape: Sequence[int]) -> None:
        self.power, self.grid, self.shape = power, grid, tuple(shape)
        self._axes = tuple(range(-len(grid), 0))
        # Of the operator of a data step, kept for its iterations.
        self._gain: tuple[Any, float, Tensor] | None = None
        self._modes: tuple[Any, Modes] | None = None

    @cached_property
    def mean_variance(self) -> float:
        """Variance of a pixel, the mean over the images of a batch."""
        return float(self._variance(self.power).mean())

    def _variance(self, power: Tensor) -> Tensor:
        """Mean of each spectrum over the full grid."""
        import torch

        weights = torch.as_tensor(column_weights(self.grid[-1])).to(power)
        return (power.sum(self._axes[:-1]) @ weights).flatten() / math.prod(self.grid)

    def _filter(self, x: Tensor, gain: Tensor) -> Tensor:
        import torch

        spectrum = torch.fft.rfftn(x, s=self.grid, dim=self._axes)
        spread: Tensor = torch.fft.irfftn(spectrum * gain, s=self.grid, dim=self._axes)
        return corner(spread, x.shape[self._axes[0] :])

    def apply(self, x: Tensor) -> Tensor:
        """R x."""
        return self._filter(x, self.power)

    def draw(self, noise: NoiseStream, like: Tensor) -> Tensor:
        """Sample of N(0, R) for each stream."""
        white = noise.normal((*self.shape[: self._axes[0]], *self.grid), like)
        return corner(self._filter(white, self.power.sqrt()), self.shape[self._axes[0] :])

    def stiffened(self, stiffness: Tensor) -> Stationary:
        """(R^-1 + s)^-1 for each entry s of ``stiffness`` (D,): a covariance for images (C, D, H, W)."""
        power = self.power if self.power.ndim == 2 else self.power.unsqueeze(-3)
        power = power / (1 + stiffness.view(-1, 1, 1) * power)
        return Stationary(power, self.grid, (self.shape[0], len(stiffness), *self.shape[1:]))

    def whitened(self, operator: Any) -> Modes | None:
        """Coordinates in which the error is white; None where the operator is no filter of such images."""
        if len(self.shape) != len(self.grid) + 1 or not offers(operator, "transfer", "response", "embed", "extract"):
            return None
        if self._modes is None or self._modes[0] is not operator:
            self._modes = (operator, self._whiten(operator))
        return self._modes[1]

    def _whiten(self, operator: Any) -> Modes:
        return Modes(self.power, self.grid, self.shape, operator)

    def measured_variance(self, operator: Any) -> Tensor | None:
        """Variance of each image's measured values without noise, shape (B,); None where the operator is no filter of them."""
        if len(self.shape) != len(self.grid) + 1 or not offers(operator, "transfer"):
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

    def __init__(self, power: Tensor, grid: tuple[int, ...], shape: Sequence[int], amplitude: Tensor | float = 1.0) -> None:
        super().__init__(power, grid, shape)
        self.amplitude = amplitude

    def scaled(self, factor: Tensor) -> Measured:
        """The spectrum times a factor for each image, shape (B,), or for each frequency too, shape (B, 1, *half grid)."""
        return Measured(self.power * factor.view(len(factor), 1, *(factor.shape[2:] or (1, 1))), self.grid, self.shape)

    def seen(self, operator: Any) -> tuple[Tensor, Tensor]:
        """Power of what a measurement sees of the error, and of a flat spectrum, on the real-FFT grid."""
        response = abs(operator.transfer(self.grid)) ** 2 + 0 * self.power
        return response * self.power, response

    @property
    def plane_grid(self) -> tuple[int, ...]:
        """FFT shape of a plane."""
        return self.grid

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
