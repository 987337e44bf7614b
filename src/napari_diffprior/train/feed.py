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


def batches(
    images: Sequence[TrainingImage], settings: TrainSettings, first: int, rank: int, world: int, device: str
) -> Iterator[Tensor]:
    """Batches of this process from step ``first`` on.

    Beside a GPU half of the cores cut them ahead of time; on a CPU the training needs the cores itself.

    Returns
    -------
    iterator of Tensor, shape (N, 1, P, P)
        float32, model range [-1, 1].
    """
    from torch.utils.data import DataLoader

    gpu = device == "cuda"
    workers = max(1, (os.cpu_count() or 2) // 2 // world) if gpu else 0
    steps: Any = Batches(images, settings, rank, world)  # all that DataLoader needs of a Dataset is its index
    loader: DataLoader[Tensor] = DataLoader(steps, None, sampler=_From(first), num_workers=workers, pin_memory=gpu)
    return iter(loader)
