"""What a noise model is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from ..rng import NoiseStream


class NoiseModel(Protocol):
    """Distribution of a measurement y around its mean A x, in the units of y.

    A model whose precision depends on the mean sets ``newton`` to the number of Newton steps that the Gaussian data
    step of ``Measurement.condition`` then takes. One that can be asked for by name offers the class method
    ``estimate(image, measured, known)``: the noise of an image in its own units, with what is ``known`` kept.
    """

    def nll(self, mean: Tensor, y: Tensor) -> Tensor:
        """Negative log-likelihood, one value per sample, shape (B,); never summed over the batch."""
        ...

    def precision(self, mean: Tensor) -> float | Tensor:
        """Inverse variance of each measurement at this mean; zero where it says nothing."""
        ...

    def sample(self, mean: Tensor, noise: NoiseStream) -> Tensor:
        """Draw measurements."""
        ...

    def rescaled(self, scale: float, shift: float) -> NoiseModel:
        """The same noise for (y - shift) / scale."""
        ...
