"""Parallel-beam projections, as in electron tomography."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from .contract import jacobian_transpose

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Radon:
    """A x = line sums of the image for a list of angles, shape (B, C, angles, bins), in pixel lengths.

    The image is rotated by bilinear interpolation and summed along its columns; zero lies around it. At 0 degrees the
    bins are the image's columns, padded to the length of the diagonal.

    Parameters
    ----------
    angles : sequence of float
        Degrees, anticlockwise.
    grid : (int, int)
        Shape of the image.
    """

    name: ClassVar[str] = "radon"

    def __init__(self, angles: Sequence[float], grid: tuple[int, int]) -> None:
        import torch

        self.domain = tuple(grid)
        self.bins = math.ceil(math.hypot(*grid))
        line = torch.arange(self.bins, dtype=torch.float64) - (self.bins - 1) / 2
        along, across = torch.meshgrid(line, line, indexing="ij")
        turns = [math.radians(angle) for angle in angles]
        places = [
            (across * math.cos(turn) + along * math.sin(turn), along * math.cos(turn) - across * math.sin(turn)) for turn in turns
        ]
        self.places = torch.stack([torch.stack([2 * x / grid[1], 2 * y / grid[0]], -1) for x, y in places])

    def apply(self, x: Tensor) -> Tensor:
        """Sinogram, angle by angle."""
        import torch
        from torch.nn.functional import grid_sample

        def project(place: Tensor) -> Tensor:
            where = place.to(x).expand(len(x), *place.shape)
            return grid_sample(x, where, mode="bilinear", padding_mode="zeros", align_corners=False).sum(-2)

        return torch.stack([project(place) for place in self.places], -2)

    def adjoint(self, y: Tensor) -> Tensor:
        """Backprojection: the exact transpose, by automatic differentiation."""
        return jacobian_transpose(self, y.new_zeros(*y.shape[:2], *self.domain), y)

    def precondition(self, r: Tensor, power: Tensor, grid: tuple[int, int], variance: float) -> Tensor:
        """Approximate (A R A^T + variance)^-1 r: each projection by itself has a slice of the power as its spectrum."""
        import torch

        length = self.domain[0] * self.domain[1] / self.bins
        spectrum = power[..., 0, :].reshape(-1, power.shape[-1])[-1] * length
        solved: Tensor = torch.fft.irfft(torch.fft.rfft(r, n=grid[1]) / (spectrum + variance), n=grid[1])
        return solved[..., : r.shape[-1]]

    @classmethod
    def example(cls, shape: tuple[int, int], rng: np.random.Generator) -> Radon:
        """Instance for the conformance tests: two to four angles."""
        return cls(rng.uniform(-90, 90, int(rng.integers(2, 5))).tolist(), shape)
