"""Additive Gaussian noise whose deviation differs between measurements."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ..rng import NoiseStream


class GaussianMap:
    """Gaussian noise with a standard deviation for each measurement, as averaging or flat-field correction leave it.

    Parameters
    ----------
    sigma : Tensor
        Above 0; of the measurement's shape (1, C, ...), or one that broadcasts to it.

    Raises
    ------
    ValueError
        If a value is not above 0.
    """

    def __init__(self, sigma: Tensor) -> None:
        if not bool((sigma > 0).all()):
            raise ValueError("the noise map has pixels that are not above 0: every measurement has some noise.")
        self.sigma = sigma

    def nll(self, mean: Tensor, y: Tensor) -> Tensor:
        """Negative log-likelihood per sample, shape (B,)."""
        each = 0.5 * ((y - mean) / self.sigma).square() + self.sigma.log() + 0.5 * math.log(2 * math.pi)
        return each.flatten(1).sum(1)

    def precision(self, mean: Tensor) -> Tensor:
        """Inverse variance of each measurement, whatever its mean."""
        return self.sigma**-2 + 0 * mean

    def sample(self, mean: Tensor, noise: NoiseStream) -> Tensor:
        """Measurements around the mean, one for each stream."""
        return mean + self.sigma * noise.normal(mean.shape[1:], mean)

    def rescaled(self, scale: float, shift: float) -> GaussianMap:
        """The same noise for (y - shift) / scale."""
        return GaussianMap(self.sigma / scale)
