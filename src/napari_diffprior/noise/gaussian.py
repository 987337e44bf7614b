"""Additive white Gaussian noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt

from ..params import Ui, params

if TYPE_CHECKING:
    from torch import Tensor

    from ..rng import NoiseStream


@params
class Gaussian:
    """Additive white Gaussian noise."""

    name: ClassVar[str] = "gaussian"

    sigma: Annotated[float, Gt(0), Ui("Sigma", "standard deviation in the model's units, range above 0")]

    def nll(self, mean: Tensor, y: Tensor) -> Tensor:
        """Negative log-likelihood per sample, shape (B,)."""
        residual = ((y - mean) / self.sigma).flatten(1)
        count = residual.shape[1]
        return 0.5 * residual.square().sum(1) + count * (math.log(self.sigma) + 0.5 * math.log(2 * math.pi))

    def precision(self, mean: Tensor) -> float:
        """Inverse variance, the same for every measurement."""
        return self.sigma**-2

    def sample(self, mean: Tensor, noise: NoiseStream) -> Tensor:
        """Measurements around the mean, one for each stream."""
        return mean + self.sigma * noise.normal(mean.shape[1:], mean)
