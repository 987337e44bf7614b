"""A denoiser of volumes made of a 2-D prior on slices that are coupled to their neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from .priors.contract import Denoiser
    from .priors.covariance import Diagonal, Measured, Stationary
    from .rng import NoiseStream

NEARLY_ISOTROPIC = 1.5  # voxels up to this ratio of their sides are sliced along all three axes in turn
Z, X = 2, 4  # axes of (B, C, D, H, W)


class Coupled:
    """Covariance (R^-1 + lambda Dz^T Dz)^-1 of planes with error R whose neighbours are held together by springs.

    Dz is the difference of neighbouring planes, with free ends: its Gram matrix is diagonal in the cosine basis
    (DCT-II) with eigenvalues 2 - 2 cos(pi k / D), so each cosine along z has a plane covariance of its own.

    Parameters
    ----------
    planes : Diagonal or Stationary
        Error covariance R of one plane (C, H, W).
    stiffness : float
        lambda: inverse variance of the difference of neighbouring planes; 0 leaves them independent.
    depth : int
        Planes.
    axis : int
        Axis of (B, C, D, H, W) along which the planes follow each other.
    """

    def __init__(self, planes: Diagonal | Stationary, stiffness: float, depth: int, axis: int = Z) -> None:
        import torch

        self.planes, self.stiffness, self.axis = planes, stiffness, axis
        like = getattr(planes, "power", None)
        like = planes.variance if like is None else like  # type: ignore[union-attr]
        k = torch.arange(depth, dtype=torch.float64)
        self.modes = planes.stiffened((stiffness * (2 - 2 * torch.cos(math.pi * k / depth))).to(like))
        cosines = torch.cos(math.pi / depth * k[:, None] * (k + 0.5)) * math.sqrt(2 / depth)
        cosines[0] /= math.sqrt(2)
        self._cosines = cosines.to(like)
        self.mean_variance = self.modes.mean_variance
        self._gain: tuple[Any, float, Tensor] | None = None

    def _along(self, matrix: Tensor, x: Tensor) -> Tensor:
        """Multiply a matrix with the second axis of (B, C, D, H, W)."""
        return (matrix @ x.flatten(3)).view(x.shape)

    def apply(self, x: Tensor) -> Tensor:
        """(R^-1 + lambda Dz^T Dz)^-1 x."""
        modes = self.modes.apply(self._along(self._cosines, x.movedim(self.axis, Z)))
        return self._along(self._cosines.T, modes).movedim(Z, self.axis)

    def draw(self, noise: NoiseStream, like: Tensor) -> Tensor:
        """Sample for each stream."""
        return self._along(self._cosines.T, self.modes.draw(noise, like)).movedim(Z, self.axis)

    def settle(self, x: Tensor) -> Tensor:
        """Mean of the planes' N(x, R) once their neighbours pull: x - P^-1 lambda Dz^T Dz x, which is P^-1 R^-1 x."""
        import torch

        step = self.stiffness * x.diff(dim=self.axis)
        ends = torch.zeros_like(x.narrow(self.axis, 0, 1))
        pull = -torch.cat([ends, step, ends], self.axis).diff(dim=self.axis)
        return x - self.apply(pull)

    def solve(self, x: Tensor, operator: Any, variance: float) -> Tensor | None:
        """Solution as if the measurement covered a whole periodic grid: the preconditioner of the data step."""
        import torch

        if not all(hasattr(operator, name) for name in ("response", "embed", "extract")) or not hasattr(self.planes, "grid"):
            return None
        canvas = operator.embed(x)
        gain = self._whitener(operator, variance)
        axes = (-3, -2, -1)
        spread = torch.fft.irfftn(torch.fft.rfftn(canvas, s=self._grid, dim=axes) * gain, s=self._grid, dim=axes)
        solution: Tensor = operator.extract(spread[..., : canvas.shape[-3], : canvas.shape[-2], : canvas.shape[-1]])
        return solution

    @property
    def _grid(self) -> tuple[int, ...]:
        """FFT grid in the order (z, y, x)."""
        grid = list(self.planes.grid)  # type: ignore[union-attr]
        grid.insert(self.axis - Z, len(self._cosines))
        return tuple(grid)

    @cached_property
    def _power(self) -> Tensor:
        """Power on the real-FFT grid, as if the planes followed each other in a ring."""
        import torch

        plane = torch.fft.fft2(torch.fft.irfft2(self.planes.power, s=self.planes.grid)).real.clamp_min(0)  # type: ignore[union-attr]
        k = torch.fft.fftfreq(len(self._cosines), device=plane.device, dtype=plane.dtype)
        springs = (self.stiffness * (2 - 2 * torch.cos(2 * math.pi * k))).view(-1, 1, 1)
        plane = plane.unsqueeze(-3)
        whole: Tensor = (plane / (1 + springs * plane)).movedim(-3, self.axis - X - 1)
        return whole[..., : whole.shape[-1] // 2 + 1]

    def _whitener(self, operator: Any, variance: float) -> Tensor:
        """Gain of the preconditioner, kept for the iterations of a data step."""
        if self._gain is None or self._gain[0] is not operator or self._gain[1] != variance:
            self._gain = (operator, variance, 1 / (operator.response(self._grid) * self._power + variance))
        return self._gain[2]


class MeasuredCoupled(Coupled):
    """The same of planes whose error was measured on held-out images: those of a volume may have more of it."""

    planes: Measured

    @property
    def clumps(self) -> float:
        """Pixels of a plane that share one error."""
        return self.planes.clumps

    @property
    def grid(self) -> tuple[int, int]:
        """FFT shape of a plane."""
        return self.planes.grid

    def scaled(self, factor: Tensor) -> MeasuredCoupled:
        """The error of the planes times a factor for each volume, shape (B,), or for each frequency too, as of ``Measured``."""
        return MeasuredCoupled(self.planes.scaled(factor), self.stiffness, len(self._cosines), self.axis)

    def seen(self, operator: Any) -> tuple[Tensor, Tensor]:
        """Power of what a measurement sees of the error in a plane, and of a flat spectrum, on the real-FFT grid of a plane."""
        response = abs(operator.transfer(self._grid)) ** 2 + 0 * self._power
        return self._plane_mean(response * self._power), self._plane_mean(response)

    def _plane_mean(self, power: Tensor) -> Tensor:
        """Mean of a spectrum along the axis across the planes: that of a plane cut out of the volume."""
        import torch

        if self.axis < X:
            return power.mean(self.axis - X - 1)
        mirrored = power[..., 1 : (len(self._cosines) + 1) // 2].sum(-1)
        whole = (power.sum(-1) + torch.roll(mirrored.flip((-2, -1)), (1, 1), (-2, -1))) / len(self._cosines)
        return whole[..., : self.grid[1] // 2 + 1]

    def planes_of(self, field: Tensor) -> Tensor:
        """A field (B, C, D, H, W) as its planes (B, N, H, W)."""
        return field.movedim(self.axis, Z).flatten(1, 2)


@dataclass
class VolumeDenoiser:
    """A 2-D prior as a prior of volumes (B, C, D, H, W): p(x) ~ prod_z p2(x_z) exp(-lambda/2 |Dz x|^2).

    The planes are denoised by the 2-D prior; then each pulls at its neighbours. With R the error covariance of the
    planes, the estimate is P^-1 R^-1 D with P = R^-1 + lambda Dz^T Dz, and its error covariance P^-1: exact where p2
    is Gaussian, and used as it stands by every data step. lambda comes from the prior's own measured spectrum:
    neighbouring planes differ as pixels at the same distance do. In nearly isotropic stacks the planes are cut
    along z, y and x in turn, chosen by the noise level (as Lee et al. 2023, TPDM, do by chance), so that each
    direction is seen by the network.

    Parameters
    ----------
    inner : Denoiser
        2-D prior, tiled or not.
    aspect : float
        Step between planes over the step between pixels; above 0.
    stiffness : float, optional
        lambda, in inverse squared model units; None takes it from the spectrum, 0 leaves the planes independent.
    batch : int
        Planes in one call.
    """

    inner: Denoiser
    aspect: float = 1.0
    stiffness: float | None = None
    batch: int = 16
    turns: bool | None = None

    ndim = 3

    def __post_init__(self) -> None:
        """Take over the inner prior's properties."""
        if not (math.isfinite(self.aspect) and self.aspect > 0):
            raise ValueError(f"the step between planes must be above 0 pixels, not {self.aspect}.")
        self.differentiable = getattr(self.inner, "differentiable", True)
        self.sigma_min, self.sigma_max = self.inner.sigma_min, self.inner.sigma_max
        self.channels, self.patch = self.inner.channels, self.inner.patch
        if self.turns is None:
            self.turns = 1 / NEARLY_ISOTROPIC <= self.aspect <= NEARLY_ISOTROPIC

    def axis(self, sigma: float) -> int:
        """Axis of (B, C, D, H, W) across which a noise level is sliced; scattered evenly over the levels."""
        if not self.turns or math.isinf(sigma):
            return Z
        return Z + int(3 * (997.0 * math.log(sigma) % 1.0))

    def error(self, sigma: float, shape: Sequence[int], like: Tensor) -> Coupled:
        """Error covariance for volumes (C, D, H, W)."""
        from .priors.covariance import Measured

        axis = self.axis(sigma)
        plane = [*shape]
        depth = plane.pop(axis - 1)
        stiffness = self._stiffness(self.aspect if axis == Z else 1.0, plane, like) if depth > 1 else 0.0
        planes: Any = self.inner.error(sigma, plane, like)
        kind = MeasuredCoupled if isinstance(planes, Measured) else Coupled
        return kind(planes, stiffness, depth, axis)

    def _stiffness(self, distance: float, plane: Sequence[int], like: Tensor) -> float:
        """Inverse mean square difference of two pixels at a distance, from the spectrum of the data."""
        import numpy as np
        import torch

        if self.stiffness is not None:
            return self.stiffness
        data: Any = self.inner.error(math.inf, plane, like)
        if not hasattr(data, "power"):
            return float(1 / (2 * data.mean_variance))
        covariance = torch.fft.irfft2(data.power.double(), s=data.grid)[..., 0, : data.grid[-1] // 2].cpu().numpy()
        near = min(distance, 1.0) ** 2  # below a pixel the field is taken as smooth
        return float(1 / (near * np.interp(max(distance, 1.0), np.arange(len(covariance)), 2 * (covariance[0] - covariance))))

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """E[x0 | x0 + sigma n = x] for x of shape (B, C, D, H, W) and sigma of shape (B,); differentiable in x."""
        import torch

        levels = [float(level) for level in sigma]
        if len(set(levels)) > 1:
            return torch.cat([self(x[i : i + 1], sigma[i : i + 1]) for i in range(len(x))])
        error = self.error(levels[0], x.shape[1:], x)
        cut = x.movedim(error.axis, 1)
        planes = cut.flatten(0, 1)
        level = sigma.repeat_interleave(cut.shape[1])
        parts = range(0, len(planes), self.batch)
        denoised = torch.cat([self.inner(planes[i : i + self.batch], level[i : i + self.batch]) for i in parts])
        return error.settle(denoised.view(cut.shape).movedim(1, error.axis))
