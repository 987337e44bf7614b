"""Blur by a point spread function that changes across the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from .blur import Blur

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class VaryingBlur(Blur):
    """A x = sum_k h_k * (w_k x), with PSFs h_k on a lattice and w_k that interpolate linearly between them.

    A point is imaged by the mixture of the PSFs nearest to it (Nagy & O'Leary 1998, SIAM J. Sci. Comput. 19, 1063).

    Parameters
    ----------
    psfs : Tensor, shape (rows, columns, h, w)
        PSFs at the centres of rows x columns equal parts of the image, each normalised to sum 1.
    grid : (int, int)
        Shape of the measured image.
    """

    name: ClassVar[str] = "varying"
    transfer = None  # type: ignore[assignment] # it is no single filter

    def __init__(self, psfs: Tensor, grid: Sequence[int]) -> None:
        import torch

        unit = psfs / psfs.sum((-2, -1), keepdim=True)
        super().__init__(unit.mean((0, 1)), grid)
        self.transfers = torch.stack([Blur(psf, grid).spectrum for row in unit for psf in row])
        tall, wide = (
            _tents(count, n, reach, length, psfs)
            for count, n, reach, length in zip(psfs.shape[:2], grid, self.halo, self.domain, strict=True)
        )
        self.weights = (tall[:, None, :, None] * wide[None, :, None, :]).flatten(0, 1)

    def apply(self, x: Tensor) -> Tensor:
        """Blurred image on the measured grid."""
        import torch

        spectra = torch.fft.rfft2(self.weights * x[..., None, :, :]) * self.transfers
        return self.extract(torch.fft.irfft2(spectra.sum(-3), s=self.domain))

    def adjoint(self, y: Tensor) -> Tensor:
        """Correlation with each PSF, weighted where it holds."""
        import torch

        spectra = torch.fft.rfft2(self.embed(y))[..., None, :, :] * self.transfers.conj()
        image: Tensor = (self.weights * torch.fft.irfft2(spectra, s=self.domain)).sum(-3)
        return image

    @classmethod
    def example(cls, shape: Sequence[int], rng: np.random.Generator) -> VaryingBlur:
        """Instance for the conformance tests: up to three PSFs along each axis."""
        import torch

        counts, sides = rng.integers(1, 4, 2), rng.integers(1, 6, 2)
        return cls(torch.from_numpy(rng.random((*counts, *sides)) + 0.1), shape)


def _tents(count: int, length: int, start: int, canvas: int, like: Tensor) -> Tensor:
    """Linear interpolation weights between the centres of ``count`` parts, shape (count, canvas), summing to 1."""
    import torch

    pixels, parts = (torch.arange(n, dtype=like.dtype, device=like.device) for n in (canvas, count))
    place = ((pixels - start + 0.5) * count / length - 0.5).clamp(0, count - 1)
    return (1 - (place - parts[:, None]).abs()).clamp_min(0.0)
