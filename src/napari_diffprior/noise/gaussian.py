"""Additive white Gaussian noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Gt

from ..params import Ui, params

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ..rng import NoiseStream


@params
class Gaussian:
    """Additive white Gaussian noise."""

    name: ClassVar[str] = "gaussian"

    sigma: Annotated[float, Gt(0), Ui("Sigma", "standard deviation in the units of y, above 0")]

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

    def rescaled(self, scale: float, shift: float) -> Gaussian:
        """The same noise for (y - shift) / scale."""
        return Gaussian(sigma=self.sigma / scale)

    @classmethod
    def estimate(cls, image: np.ndarray[Any, Any], measured: np.ndarray[Any, Any], known: Mapping[str, float]) -> Gaussian:
        """Noise of an image, by ``estimate_sigma``."""
        from .estimate import estimate_sigma

        return cls(sigma=estimate_sigma(image, measured))
