"""The stream of training batches: cut beside the training, by processes of their own where a GPU is fast."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .data import TrainingImage, batch
from .loop import TrainSettings, patch_of

if TYPE_CHECKING:
    from torch import Tensor


class Batches:
    """The batch of each step by its number; it depends on the step alone, so a resumed run sees what it would have seen.

    Parameters
    ----------
    images : sequence of TrainingImage
    settings : TrainSettings
    rank, world : int
        This process, and how many share a step.
    """

    def __init__(self, images: Sequence[TrainingImage], settings: TrainSettings, rank: int, world: int) -> None:
        self.images, self.settings, self.rank, self.world = images, settings, rank, world

    def __getitem__(self, step: int) -> Tensor:
        """Patches of shape (N, 1, P, P), model range."""
        patch = patch_of(self.settings, step)
        count = max(1, self.settings.pixels // patch**2 // self.world)
        return batch(self.images, patch, count, [self.settings.seed, step, self.rank])


class _From:
    """Step numbers from ``first`` on, without end."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.first)


def cutters(device: str, world: int) -> int:
    """How many processes cut patches for one that trains: beside a GPU half of the cores, on a CPU none, as it needs its own."""
    return max(1, (os.cpu_count() or 2) // 2 // world) if device == "cuda" else 0


def batches(
    images: Sequence[TrainingImage], settings: TrainSettings, first: int, rank: int, world: int, workers: int
) -> Iterator[Tensor]:
    """Batches of this process from step ``first`` on; the same ones with any number of workers that cut them ahead of time.

    Returns
    -------
    iterator of Tensor, shape (N, 1, P, P)
        float32, model range [-1, 1].
    """
    import torch
    from torch.utils.data import DataLoader

    steps: Any = Batches(images, settings, rank, world)  # all that DataLoader needs of a Dataset is its index
    pinned = workers > 0 and torch.cuda.is_available()
    loader: DataLoader[Tensor] = DataLoader(steps, None, sampler=_From(first), num_workers=workers, pin_memory=pinned)
    return iter(loader)
