"""Area average: each measured pixel is the mean of n x n pixels of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Downsample:
    """A x = means over blocks of ``factor`` pixels along each spatial axis.

    Parameters
    ----------
    factor : int
        Pixels of the image along a side of a measured one, 1 or more.
    grid : tuple of int
        Spatial shape of the measurement; the image is ``factor`` times as large.
    """

    name: ClassVar[str] = "downsample"

    def __init__(self, factor: int, grid: Sequence[int]) -> None:
        if factor < 1:
            raise ValueError(f"an image is downsampled by a whole factor of 1 or more, not {factor}.")
        self.factor, self.grid = factor, tuple(grid)
        self.domain = tuple(factor * side for side in grid)

    @property
    def reach(self) -> float:
        """A measured pixel fixes its mean alone: all inside of it must be made up."""
        return float(self.factor)

    def apply(self, x: Tensor) -> Tensor:
        """Block means, shape (B, C, *grid)."""
        lead, axes = x.shape[: -len(self.grid)], len(self.grid)
        blocks = x.reshape(*lead, *(side for pair in zip(self.grid, [self.factor] * axes, strict=True) for side in pair))
        return blocks.mean(tuple(range(-1, -2 * axes, -2)))

    def adjoint(self, y: Tensor) -> Tensor:
        """Each value spread evenly over its block."""
        for axis in range(-len(self.grid), 0):
            y = y.repeat_interleave(self.factor, axis) / self.factor
        return y

    def precondition(self, r: Tensor, power: Tensor, grid: tuple[int, int], variance: float) -> Tensor:
        """Approximate (A R A^T + variance)^-1 r: block means of a stationary image are stationary on the coarse grid.

        Their covariance is that of the averaged image, read at every ``factor``-th pixel.
        """
        import torch

        box = power.new_full((self.factor,), 1 / self.factor)
        smooth = torch.fft.fft(box, n=grid[0]).abs().square()[:, None] * torch.fft.rfft(box, n=grid[1]).abs().square()
        covariance = torch.fft.irfft2(power * smooth, s=grid)
        coarse = tuple(side // self.factor for side in grid)
        signed = [torch.fft.fftfreq(side, 1 / side, device=r.device).round().long() * self.factor for side in coarse]
        spectrum = torch.fft.rfft2(covariance[..., signed[0][:, None] % grid[0], signed[1] % grid[1]]).real.clamp_min(0.0)
        solved: Tensor = torch.fft.irfft2(torch.fft.rfft2(r, s=coarse) / (spectrum + variance), s=coarse)
        return solved[..., : r.shape[-2], : r.shape[-1]]

    @classmethod
    def example(cls, shape: Sequence[int], rng: np.random.Generator) -> Downsample:
        """Instance for the conformance tests: a factor of 1 to 3."""
        return cls(int(rng.integers(1, 4)), shape)
