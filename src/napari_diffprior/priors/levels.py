"""The mean of a patch: the one number of it whose distribution is known from the training images without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..rng import stream_seed

if TYPE_CHECKING:
    from torch import Tensor

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

    def draw(self, samples: Sequence[int], seed: int, like: Tensor) -> Tensor:
        """Levels of samples by their numbers, shape (N, 1, 1, 1): each a fair draw, together evenly spread (Weyl's sequence).

        Of a few dozen independent draws the deviation would be wrong by a tenth.
        """
        shares = (stream_seed(seed) / 2**63 + GOLDEN * np.asarray(samples)) % 1
        chosen = np.asarray(self.means)[(shares * len(self.means)).astype(int)]
        return like.new_tensor(chosen)[:, None, None, None]

    def posterior_mean(self, noisy: Tensor, sigma: float) -> Tensor:
        """Expected level given the level plus noise of standard deviation ``sigma``, of any shape."""
        import torch

        own = (2 / len(self.means)) ** 2
        away = noisy[..., None] - noisy.new_tensor(self.means)
        chances = torch.softmax(-away.square() / (2 * (own + sigma**2)), -1)
        return noisy - (chances * away).sum(-1) * sigma**2 / (own + sigma**2)
