"""Kill training at random moments, resume it, and compare the end with an undisturbed run.

The state is saved after every step, and each process is killed (SIGKILL) at a random moment of a random step: often
while it writes. After each kill the state must be whole. Batches depend on the step alone, so that the final weights must
be those of the undisturbed run. Prints one line of JSON: the steps at which it was killed, the largest difference of
weights and optimiser, the two final validation losses, and files that were left over.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator  # noqa: F401  loaded before the forks, so that a child starts at once
from diffusers import DDPMScheduler, UNet2DModel  # noqa: F401
from safetensors import safe_open

from napari_diffprior.train.data import TrainingImage
from napari_diffprior.train.loop import TrainSettings, train
from napari_diffprior.train.state import FILE

FORK = multiprocessing.get_context("fork")


def make_images(count: int = 20) -> list[TrainingImage]:
    """Blobs of different widths."""
    rng, (rows, columns) = np.random.default_rng(0), np.mgrid[:64, :64]
    blobs = [np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / w) for y, x, w in rng.uniform(20, 60, (count, 3))]
    return [TrainingImage(blob.astype(np.float32), str(n), Path(str(n))) for n, blob in enumerate(blobs)]


class Child:
    """Training in a process of its own, which counts the checkpoints that it has begun."""

    def __init__(self, images: Sequence[TrainingImage], folder: Path, settings: TrainSettings) -> None:
        self.begun = FORK.Value("i", 0)
        self.process = FORK.Process(target=self._work, args=(images, folder, settings))
        self.process.start()

    def _work(self, images: Sequence[TrainingImage], folder: Path, settings: TrainSettings) -> None:
        train(images, images[:2], folder, settings, self._count)

    def _count(self, event: dict[str, Any]) -> None:
        if event["event"] == "validation":
            self.begun.value += 1

    def kill_after(self, checkpoints: int, delay: float) -> None:
        """SIGKILL, some time after it began that checkpoint."""
        while self.begun.value < checkpoints and self.process.is_alive():
            time.sleep(0.002)
        time.sleep(delay)
        self.process.kill()
        self.process.join()


def read_state(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """All tensors and the progress of a run; raises if the file is not whole."""
    with safe_open(folder / FILE, "pt") as stored:
        return {key: stored.get_tensor(key) for key in stored.keys()}, json.loads(stored.metadata()["progress"])  # noqa: SIM118


def compare(place: Path, kills: int, total: int, rng: np.random.Generator) -> dict[str, Any]:
    """Report of a killed and an undisturbed run."""
    settings = TrainSettings(patches=(32,), pixels=4096, minutes=1e6, steps=total, save_minutes=1e-9)
    images = make_images()
    killed, whole = place / "killed", place / "whole"
    killed.mkdir()
    whole.mkdir()
    steps = []
    for _ in range(kills):
        Child(images, killed, settings).kill_after(int(rng.integers(1, max(2, total // kills))), rng.uniform(0, 0.3))
        steps.append(read_state(killed)[1]["step"] if (killed / FILE).exists() else 0)
    for folder in (killed, whole):
        child = Child(images, folder, settings)
        child.process.join()
        assert child.process.exitcode == 0, f"the last run of {folder.name} ended with {child.process.exitcode}"
    (first, one), (second, other) = read_state(killed), read_state(whole)
    assert one["step"] == other["step"] == total
    return {
        "killed_at": steps,
        "largest_difference": max(float((first[key] - second[key]).abs().max()) for key in second),
        "losses": [progress["history"][-1]["loss"] for progress in (one, other)],
        "left_over": [path.name for path in place.rglob("*") if path.is_file() and path.name != FILE],
    }


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        report = compare(Path(place), options.kills, options.steps, np.random.default_rng(options.seed))
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
