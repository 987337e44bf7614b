"""Fourier sampling: some spatial frequencies of the image, as in magnetic resonance or interferometry."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Fourier:
    """A x = the sampled frequencies of the unitary Fourier transform, shape (B, 2 C, m): real parts, then imaginary.

    Parameters
    ----------
    keep : Tensor of bool, shape (H, W)
        True where a frequency was measured; frequency zero at [0, 0], as ``torch.fft.fft2`` orders them.

    Raises
    ------
    ValueError
        If no frequency was measured.
    """

    name: ClassVar[str] = "fourier"

    def __init__(self, keep: Tensor) -> None:
        self.index = keep.reshape(-1).nonzero()[:, 0]
        if not len(self.index):
            raise ValueError("no frequency was measured: the k-space mask is empty.")
        self.domain = tuple(keep.shape)

    def apply(self, x: Tensor) -> Tensor:
        """Sampled frequencies."""
        import torch

        spectrum = torch.fft.fft2(x, norm="ortho").flatten(2).index_select(-1, self.index)
        return torch.cat([spectrum.real, spectrum.imag], 1)

    def adjoint(self, y: Tensor) -> Tensor:
        """Image of the sampled frequencies, zeros at the others."""
        import torch

        real, imaginary = y.chunk(2, 1)
        spectrum = torch.complex(real, imaginary).new_zeros(*real.shape[:2], self.domain[0] * self.domain[1])
        spectrum = spectrum.index_copy_(-1, self.index, torch.complex(real, imaginary))
        image: Tensor = torch.fft.ifft2(spectrum.view(*real.shape[:2], *self.domain), norm="ortho").real
        return image

    def precondition(self, r: Tensor, power: Tensor, grid: tuple[int, int], variance: float) -> Tensor:
        """Approximate (A R A^T + variance)^-1 r: frequencies of a stationary image are nearly independent."""
        import torch

        full = torch.fft.fft2(torch.fft.irfft2(power, s=grid)).real.clamp_min(0.0)
        sides = zip(self.domain, grid, strict=True)
        rows, columns = ((torch.fft.fftfreq(n, device=r.device) * side).round().long() % side for n, side in sides)
        sampled: Tensor = full[..., rows[:, None], columns].reshape(-1)[self.index]
        return r / (sampled / 2 + variance)

    @classmethod
    def example(cls, shape: tuple[int, int], rng: np.random.Generator) -> Fourier:
        """Instance for the conformance tests: frequency zero and about half of the others."""
        import torch

        keep = rng.random(shape) < 0.5
        keep[0, 0] = True
        return cls(torch.from_numpy(keep))
