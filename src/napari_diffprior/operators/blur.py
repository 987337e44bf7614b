"""Blur by a point spread function whose surroundings are unknown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from ..psf import gaussian_psf

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Blur:
    """A x = crop(h * x): convolution on a canvas that is larger than the image by the reach of the PSF; 2-D or 3-D.

    A real blur does not wrap, and what lies outside of the image is unknown. The image is restored on a canvas
    with a border of half a PSF; the convolution there is periodic (fast, exact adjoint) and what wraps is cut off.

    Parameters
    ----------
    psf : Tensor, shape (h, w) or (d, h, w)
        Point spread function, centred on (h // 2, w // 2), not negative. It is normalised to sum 1.
    grid : tuple of int
        Spatial shape of the measured image, with as many axes as the PSF.
    """

    name: ClassVar[str] = "blur"

    def __init__(self, psf: Tensor, grid: Sequence[int]) -> None:
        from scipy.fft import next_fast_len

        self.grid = tuple(grid)
        self.halo = tuple(side // 2 for side in psf.shape)
        self.domain = tuple(next_fast_len(n + 2 * reach, real=True) for n, reach in zip(grid, self.halo, strict=True))
        self.kernel = psf / psf.sum()
        self._axes = tuple(range(-psf.ndim, 0))
        self.spectrum = Blur.transfer(self, self.domain)

    @cached_property
    def width(self) -> float:
        """Standard deviation in pixels of the Gaussian that concentrates light as much (sum of the squares); at least 1."""
        concentrated = float(self.kernel.square().sum())
        return max(1.0, math.pow(concentrated, -1 / self.kernel.ndim) / (2 * math.sqrt(math.pi)))

    def _filter(self, x: Tensor, transfer: Tensor) -> Tensor:
        import torch

        spectrum = torch.fft.rfftn(x, dim=self._axes)
        filtered: Tensor = torch.fft.irfftn(spectrum * transfer, s=self.domain, dim=self._axes)
        return filtered

    def extract(self, x: Tensor) -> Tensor:
        """Cut the measured grid out of the canvas."""
        inside: tuple[Any, ...] = tuple(slice(reach, reach + n) for reach, n in zip(self.halo, self.grid, strict=True))
        return x[(..., *inside)]

    def embed(self, y: Tensor) -> Tensor:
        """Put the measured grid into a canvas of zeros."""
        canvas = y.new_zeros(*y.shape[: -len(self.domain)], *self.domain)
        self.extract(canvas).copy_(y)
        return canvas

    def apply(self, x: Tensor) -> Tensor:
        """Blurred image on the measured grid."""
        return self.extract(self._filter(x, self.spectrum))

    def adjoint(self, y: Tensor) -> Tensor:
        """Correlation with the PSF, on the canvas."""
        return self._filter(self.embed(y), self.spectrum.conj())

    def transfer(self, shape: Sequence[int]) -> Tensor:
        """Transfer function H on the real-FFT grid of a shape at least as large as the PSF."""
        import torch

        kernel = self.kernel.new_zeros(tuple(shape))
        kernel[tuple(slice(side) for side in self.kernel.shape)] = self.kernel
        found: Tensor = torch.fft.rfftn(kernel.roll([-reach for reach in self.halo], self._axes))
        return found

    def response(self, shape: Sequence[int]) -> Tensor:
        """Power response |H|^2 on the real-FFT grid of a shape at least as large as the PSF."""
        import torch

        power: Tensor = torch.fft.rfftn(self.kernel, s=tuple(shape)).abs().square()
        return power

    @classmethod
    def example(cls, shape: Sequence[int], rng: np.random.Generator) -> Blur:
        """Instance for the conformance tests: a lopsided PSF of odd or even size, with as many axes as the shape."""
        import torch

        sides = tuple(int(side) for side in rng.integers(1, 8 if len(shape) == 2 else 4, len(shape)))
        return cls(torch.from_numpy(rng.random(sides) + 0.1), shape)

    @classmethod
    def gaussian(cls, sigma: float | Sequence[float], grid: Sequence[int]) -> Blur:
        """Gaussian blur of standard deviation ``sigma`` in pixels; several for each axis."""
        import torch

        return cls(torch.from_numpy(gaussian_psf(sigma)), grid)
