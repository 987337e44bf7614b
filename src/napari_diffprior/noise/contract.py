"""What a noise model is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from ..rng import NoiseStream


class NoiseModel(Protocol):
    """Distribution of a measurement y around its mean A x, in the model's units."""

    def nll(self, mean: Tensor, y: Tensor) -> Tensor:
        """Negative log-likelihood, one value per sample, shape (B,); never summed over the batch."""
        ...

    def precision(self, mean: Tensor) -> float | Tensor:
        """Inverse variance of each measurement at this mean."""
        ...

    def sample(self, mean: Tensor, noise: NoiseStream) -> Tensor:
        """Draw measurements."""
        ...
