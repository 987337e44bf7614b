"""The mean of a patch: the one number of it whose distribution is known from the training images without a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..rng import stream_seed

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray[Any, Any]
COUNT = 128
GOLDEN = 0.618033988749895


@dataclass(frozen=True)
class Levels:
    """Distribution of the means of grey patches: equally likely levels, each a Gaussian as wide as they resolve.

    Parameters
    ----------
    means : tuple of float
        Evenly spaced quantiles, model range [-1, 1].
    """

    means: tuple[float, ...]

    @classmethod
    def of(cls, patches: Tensor) -> Levels:
        """Distribution of patches of shape (N, 1, P, P)."""
        shares = (np.arange(COUNT) + 0.5) / COUNT
        found = np.quantile(patches.double().mean((1, 2, 3)).numpy(), shares)
        return cls(tuple(round(float(mean), 4) for mean in found))

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> Levels | None:
        """Distribution in a prior.json, if it has one."""
        return cls(tuple(card["levels"])) if "levels" in card else None

    def draw(self, samples: Sequence[int], seed: int, sigma: float) -> Array:
        """Levels under noise of standard deviation ``sigma``, by the numbers of the samples, shape (N,).

        Each is a fair draw; together they are evenly spread (Weyl's sequence). Of a few dozen independent draws the
        deviation would be wrong by a tenth.
        """
        from scipy.special import ndtr

        shares = (stream_seed(seed) / 2**63 + GOLDEN * np.asarray(samples)) % 1
        width = math.hypot(self._own, sigma)
        levels = np.linspace(self.means[0] - 8 * width, self.means[-1] + 8 * width, 4096)
        return np.interp(shares, ndtr((levels[:, None] - self.means) / width).mean(1), levels)

    def posterior_mean(self, noisy: Tensor, sigma: float) -> Tensor:
        """Expected level given the level plus noise of standard deviation ``sigma``, of any shape."""
        import torch

        variance = self._own**2 + sigma**2
        away = noisy[..., None] - noisy.new_tensor(self.means)
        chances = torch.softmax(-away.square() / (2 * variance), -1)
        return noisy - (chances * away).sum(-1) * sigma**2 / variance

    @property
    def _own(self) -> float:
        """Width of a single level: what so many of them resolve of [-1, 1]."""
        return 2 / len(self.means)
