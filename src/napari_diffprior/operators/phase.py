"""Phase retrieval: only the magnitude of the Fourier transform is measured, as in coherent diffraction imaging."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class PhaseRetrieval:
    """A x = ``|F (x + black)|``, the unitary transform of the image amid zeros; not linear.

    Image, mirror image and shifts within the zeros have the same magnitude: a posterior over them has several modes.

    Parameters
    ----------
    grid : (int, int)
        Shape of the image.
    oversampling : int
        The transform is this many times as large; 2 or more fixes an image up to shift and mirror.
    black : float
        What is added to the image so that zero is no light, in the image's units.
    """

    name: ClassVar[str] = "phase"
    linear: ClassVar[bool] = False

    def __init__(self, grid: tuple[int, int], oversampling: int = 2, black: float = 0.0) -> None:
        self.domain, self.black = tuple(grid), black
        self.padded = tuple(oversampling * side for side in grid)

    def apply(self, x: Tensor) -> Tensor:
        """Magnitudes, shape (B, C, oversampling H, oversampling W)."""
        import torch

        magnitude: Tensor = torch.fft.fft2(x + self.black, s=self.padded, norm="ortho").abs()
        return magnitude

    @classmethod
    def example(cls, shape: tuple[int, int], rng: np.random.Generator) -> PhaseRetrieval:
        """Instance for the conformance tests."""
        return cls(shape, black=float(rng.uniform(0, 1)))
