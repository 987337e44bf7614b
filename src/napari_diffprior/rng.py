"""Noise without global state: one keyed stream for each posterior sample.

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
    """One independent stream per sample, named by (seed, position, sample).

    Parameters
    ----------
    seed : int
        Seed of the run; 0 is a seed like any other.
    samples : sequence of int
        Indices of the posterior samples in this batch.
    position : tuple of int
        Index of the plane along the leading axes of the input.
    """

    def __init__(self, seed: int, samples: Sequence[int], position: Sequence[int] = ()) -> None:
        import torch

        self.count = len(samples)
        self._streams = [torch.Generator().manual_seed(stream_seed(seed, *position, sample)) for sample in samples]

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Fresh noise of shape (count, *shape) with the dtype and device of ``like``."""
        import torch

        drawn = torch.empty(self.count, *shape, dtype=like.dtype)
        for one, stream in zip(drawn, self._streams, strict=True):
            one.normal_(generator=stream)
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
