"""Noise without global state: one keyed stream for each pair of posterior samples.

Numbers are drawn on the CPU and then moved, so that a CPU and a GPU see the same noise, and a batch of
samples sees exactly what single runs would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class NoiseStream(Protocol):
    """Source of standard normal noise for a batch of ``count`` samples."""

    count: int

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Fresh noise of shape (count, *shape) with the dtype and device of ``like``."""
        ...


def stream_seed(*key: int) -> int:
    """63-bit seed of a key; neighbouring keys give unrelated seeds."""
    digest = hashlib.sha256(",".join(str(part) for part in key).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class KeyedNoise:
    """One stream per pair of samples, named by (seed, position, pair); the second of a pair sees it with its sign changed.

    Noise of either sign has the same distribution, so each sample is the draw that it would be by itself; but what the
    noise does to one sample of a pair in the first order, it undoes in the other, and the mean of few samples is as good
    as that of many (antithetic variates; Hammersley & Morton 1956). Pairs are independent of each other.

    Parameters
    ----------
    seed : int
        Seed of the run; 0 is a seed like any other.
    samples : sequence of int
        Indices of the posterior samples in this batch; 2 k and 2 k + 1 are a pair.
    position : tuple of int
        Index of the plane along the leading axes of the input.
    """

    def __init__(self, seed: int, samples: Sequence[int], position: Sequence[int] = ()) -> None:
        import torch

        self.count = len(samples)
        self._signs = [1 - 2 * (sample % 2) for sample in samples]
        self._streams = [torch.Generator().manual_seed(stream_seed(seed, *position, sample // 2)) for sample in samples]

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Fresh noise of shape (count, *shape) with the dtype and device of ``like``."""
        import torch

        drawn = torch.empty(self.count, *shape, dtype=like.dtype)
        for one, stream, sign in zip(drawn, self._streams, self._signs, strict=True):
            one.normal_(generator=stream).mul_(sign)
        return drawn.to(like.device)


class BatchNoise:
    """One stream for the whole batch: faster for tens of thousands of samples, as in exact tests.

    Parameters
    ----------
    seed : int
    count : int
        Samples in the batch.
    """

    def __init__(self, seed: int, count: int) -> None:
        import torch

        self.count = count
        self._stream = torch.Generator().manual_seed(stream_seed(seed))

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Fresh noise of shape (count, *shape) with the dtype and device of ``like``."""
        import torch

        return torch.empty(self.count, *shape, dtype=like.dtype).normal_(generator=self._stream).to(like.device)
