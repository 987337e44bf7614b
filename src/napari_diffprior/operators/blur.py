"""Blur by a point spread function whose surroundings are unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ..psf import gaussian_psf

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Blur:
    """A x = crop(h * x): convolution on a canvas that is larger than the image by the reach of the PSF.

    A real blur does not wrap, and what lies outside of the image is unknown. The image is restored on a canvas
    with a border of half a PSF; the convolution there is periodic (fast, exact adjoint) and what wraps is cut off.

    Parameters
    ----------
    psf : Tensor, shape (h, w)
        Point spread function, centred on (h // 2, w // 2), not negative. It is normalised to sum 1.
    grid : (int, int)
        Shape of the measured image.
    """

    name: ClassVar[str] = "blur"

    def __init__(self, psf: Tensor, grid: tuple[int, int]) -> None:
        import torch
        from scipy.fft import next_fast_len

        self.grid = grid
        self.halo = tuple(side // 2 for side in psf.shape)
        self.domain = tuple(next_fast_len(n + 2 * reach, real=True) for n, reach in zip(grid, self.halo, strict=True))
        kernel = psf.new_zeros(self.domain)
        kernel[: psf.shape[0], : psf.shape[1]] = psf / psf.sum()
        kernel = kernel.roll([-(side // 2) for side in psf.shape], (0, 1))
        self.transfer = torch.fft.rfft2(kernel)
        self.kernel = psf / psf.sum()

    def _filter(self, x: Tensor, transfer: Tensor) -> Tensor:
        import torch

        filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(x) * transfer, s=self.domain)
        return filtered

    def extract(self, x: Tensor) -> Tensor:
        """Cut the measured grid out of the canvas."""
        top, left = self.halo
        return x[..., top : top + self.grid[0], left : left + self.grid[1]]

    def embed(self, y: Tensor) -> Tensor:
        """Put the measured grid into a canvas of zeros."""
        canvas = y.new_zeros(*y.shape[:-2], *self.domain)
        self.extract(canvas).copy_(y)
        return canvas

    def apply(self, x: Tensor) -> Tensor:
        """Blurred image on the measured grid."""
        return self.extract(self._filter(x, self.transfer))

    def adjoint(self, y: Tensor) -> Tensor:
        """Correlation with the PSF, on the canvas."""
        return self._filter(self.embed(y), self.transfer.conj())

    def response(self, shape: tuple[int, int]) -> Tensor:
        """Power response |H|^2 on the real-FFT grid of a shape at least as large as the PSF."""
        import torch

        power: Tensor = torch.fft.rfft2(self.kernel, s=shape).abs().square()
        return power

    @classmethod
    def example(cls, shape: tuple[int, int], rng: np.random.Generator) -> Blur:
        """Instance for the conformance tests: a lopsided PSF of odd or even size."""
        import torch

        sides = tuple(int(side) for side in rng.integers(1, 8, 2))
        return cls(torch.from_numpy(rng.random(sides) + 0.1), shape)

    @classmethod
    def gaussian(cls, sigma: float, grid: tuple[int, int]) -> Blur:
        """Gaussian blur of standard deviation ``sigma`` in pixels."""
        import torch

        return cls(torch.from_numpy(gaussian_psf(sigma)), grid)
