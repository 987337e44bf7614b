"""A denoiser of volumes made of a 2-D prior on slices that are coupled to their neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .priors.covariance import Measured, Stationary

if TYPE_CHECKING:
    from torch import Tensor

    from .priors.contract import Denoiser
    from .priors.covariance import Diagonal
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
        return None if self._ring is None else self._ring.solve(x, operator, variance)

    @cached_property
    def _ring(self) -> Stationary | None:
        """The same as if the planes followed each other in a ring; None for planes without a spectrum."""
        import torch

        if not isinstance(self.planes, Stationary):
            return None
        depth, (grid, shape) = len(self._cosines), stacked(self.planes, len(self._cosines), self.axis)
        plane = across(self.planes.power, self.planes.grid[1], depth, self.axis)
        k = torch.fft.fftfreq(depth, device=plane.device, dtype=plane.dtype)[: plane.shape[self.axis - X - 1]]
        springs = self.stiffness * (2 - 2 * torch.cos(2 * math.pi * k))
        return Stationary(plane / (1 + springs.view(-1, *[1] * (X - self.axis)) * plane), grid, shape)


def stacked(planes: Stationary, depth: int, axis: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """FFT grid and shape (C, D, H, W) of so many planes that follow each other along an axis of (B, C, D, H, W)."""
    grid, shape = list(planes.grid), list(planes.shape)
    grid.insert(axis - Z, depth)
    shape.insert(axis - 1, depth)
    return tuple(grid), tuple(shape)


def across(plane: Tensor, columns: int, depth: int, axis: int) -> Tensor:
    """A spectrum of planes on the half grid of a volume, constant across them; ``columns`` of the plane's full grid."""
    import torch

    if axis < X:
        sides = list(plane.shape[-2:])
        sides.insert(axis - Z, depth)
        return plane.unsqueeze(axis - X - 1).expand(*plane.shape[:-2], *sides).contiguous()
    mirrored = torch.roll(plane[..., 1 : (columns + 1) // 2].flip((-2, -1)), 1, -2)
    whole = torch.cat([plane, mirrored], -1)
    return whole.unsqueeze(-1).expand(*whole.shape, depth // 2 + 1).contiguous()


class MeasuredVolume(Measured):
    """Error of independent planes that was measured on held-out images, as a spectrum of volumes: constant across the planes.

    Parameters
    ----------
    planes : Measured
        Error covariance of one plane (C, H, W).
    depth : int
        Planes.
    axis : int
        Axis of (B, C, D, H, W) along which the planes follow each other.
    power : Tensor, optional
        Spectrum on the real-FFT grid of the volume, where it is not that of the planes.
    """

    def __init__(self, planes: Measured, depth: int, axis: int = Z, power: Tensor | None = None) -> None:
        self.planes, self.depth, self.axis = planes, depth, axis
        super().__init__(self._across(planes.power) if power is None else power, *stacked(planes, depth, axis))

    def _across(self, plane: Tensor) -> Tensor:
        return across(plane, self.planes.grid[1], self.depth, self.axis)

    def _plane_mean(self, power: Tensor) -> Tensor:
        """Mean of a spectrum across the planes: that of a plane cut out of the volume."""
        import torch

        if self.axis < X:
            return power.mean(self.axis - X - 1)
        mirrored = power[..., 1 : (self.depth + 1) // 2].sum(-1)
        whole = (power.sum(-1) + torch.roll(mirrored.flip((-2, -1)), (1, 1), (-2, -1))) / self.depth
        return whole[..., : self.planes.grid[1] // 2 + 1]

    @property
    def clumps(self) -> float:
        """Voxels of a plane that share one error."""
        return self.planes.clumps

    @property
    def plane_grid(self) -> tuple[int, ...]:
        """FFT shape of a plane."""
        return self.planes.grid

    def scaled(self, factor: Tensor) -> MeasuredVolume:
        """The spectrum times a factor for each volume, shape (B,), or for each frequency in a plane, shape (B, 1, *half grid)."""
        each = factor.view(-1, 1, 1, 1, 1) if factor.ndim == 1 else self._across(factor)
        return MeasuredVolume(self.planes, self.depth, self.axis, self.power * each)

    def in_sight(self, typical: MeasuredVolume, operator: Any, variance: float) -> MeasuredVolume:
        """Larger than a ``typical`` error only where a measurement with such noise would see it.

        What the data do not see across the planes no later step corrects: with a larger error it would walk at random.
        """
        passed = abs(operator.transfer(self.grid)) ** 2 * self.power
        power = typical.power + (self.power - typical.power) * passed / (passed + variance)
        return MeasuredVolume(self.planes, self.depth, self.axis, power)

    def seen(self, operator: Any) -> tuple[Tensor, Tensor]:
        """Power of what a measurement sees of the error in a plane, and of a flat spectrum, on the real-FFT grid of a plane."""
        response = abs(operator.transfer(self.grid)) ** 2 + 0 * self.power
        return self._plane_mean(response * self.power), self._plane_mean(response)

    def planes_of(self, field: Tensor) -> Tensor:
        """A field (B, C, D, H, W) as its planes (B, N, H, W)."""
        return field.movedim(self.axis, Z).flatten(1, 2)


@dataclass
class VolumeDenoiser:
    """A 2-D prior as a prior of volumes (B, C, D, H, W): p(x) ~ prod_z p2(x_z) exp(-lambda/2 |Dz x|^2).

    The planes are denoised by the 2-D prior; what a 3-D measurement says joins them. In nearly isotropic stacks the planes are
    cut along z, y and x in turn, chosen by the noise level (as Lee et al. 2023, TPDM, do by chance), so that each direction is
    seen by the network. With a stiffness lambda each plane pulls at its neighbours as well: with R the error covariance of the
    planes, the estimate is P^-1 R^-1 D with P = R^-1 + lambda Dz^T Dz, and its error covariance P^-1: exact where p2
    is Gaussian. Thin structure suffers from it; see docs/decisions/0017.

    Parameters
    ----------
    inner : Denoiser
        2-D prior, tiled or not.
    aspect : float
        Step between planes over the step between pixels; above 0.
    stiffness : float
        lambda, in inverse squared model units; 0 leaves the planes independent.
    batch : int
        Planes in one call.
    """

    inner: Denoiser
    aspect: float = 1.0
    stiffness: float = 0.0
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

    def error(self, sigma: float, shape: Sequence[int], like: Tensor) -> Coupled | MeasuredVolume:
        """Error covariance for volumes (C, D, H, W)."""
        axis = self.axis(sigma)
        plane = [*shape]
        depth = plane.pop(axis - 1)
        planes: Any = self.inner.error(sigma, plane, like)
        if isinstance(planes, Measured) and not self.stiffness:
            return MeasuredVolume(planes, depth, axis)
        return Coupled(planes, self.stiffness, depth, axis)

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
        if isinstance(error, MeasuredVolume):
            # The noise in a plane's mean is small, and smaller than what a network adds to it where a plane shows little.
            kept = min(1.0, float(error.planes.power.flatten()[0]) / levels[0] ** 2)
            denoised = denoised + kept * (planes - denoised).mean((-2, -1), keepdim=True)
        volume = denoised.view(cut.shape).movedim(1, error.axis)
        return error.settle(volume) if isinstance(error, Coupled) else volume
