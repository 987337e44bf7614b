"""``decoupled`` with 20 network calls beside calibrated DPS with 300 calls and their gradients: PSNR of the mean of the samples.

    python benchmarks/few_calls.py --json rows.json [--tasks deblur] [--size 96] [--samples 8]

The six tasks of the benchmarks, and ``downsample``: a measured pixel is the mean of 2 x 2, noise 1 %. Rows are added to the
file as they come, and a run goes on where the last one ended: one of another size needs another file.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_diffprior.bench.pictures import clean_pictures
from napari_diffprior.bench.scoring import Settings, attempt_score
from napari_diffprior.bench.tasks import TASKS, Task, make_task

DOWNSAMPLE, FACTOR, NOISE = "downsample", 2, 0.01
METHODS = {"decoupled": 20, "dps": 300}
HEAD = "| task | decoupled, 20 calls | dps, 300 calls | decoupled ahead by |\n|---|---|---|---|"


@dataclass(frozen=True)
class Downsampled(Task):
    """A picture on a coarser grid."""

    def settings(self) -> dict[str, Any]:
        """Keyword arguments of ``restore``, with the factor."""
        return super().settings() | {"upsample": FACTOR}


def task_of(name: str, picture: np.ndarray[Any, Any]) -> Task:
    """One of the six, or the coarser picture."""
    if name != DOWNSAMPLE:
        return make_task(name, picture)
    noise = NOISE * float(np.ptp(picture))
    rows, columns = (length // FACTOR for length in picture.shape)
    coarse = picture[: rows * FACTOR, : columns * FACTOR].reshape(rows, FACTOR, columns, FACTOR).mean((1, 3))
    noisy = coarse + noise * np.random.default_rng(0).standard_normal(coarse.shape)
    return Downsampled(name, noisy, picture[: rows * FACTOR, : columns * FACTOR], noise)


def main() -> None:
    """Measure what the file does not hold yet, and print the table of all that it holds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=[*TASKS, DOWNSAMPLE])
    parser.add_argument("--pictures", nargs="*", type=Path, default=[])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--samples", type=int, default=8)
    given = parser.parse_args()
    rows = json.loads(given.json.read_text()) if given.json.exists() else {}
    pictures, settings = clean_pictures(given.pictures, given.size, given.images), Settings(samples=given.samples)
    for name in given.tasks:
        tasks = [task_of(name, picture) for picture in pictures]
        for method, steps in METHODS.items():
            if method in rows.setdefault(name, {}):
                continue
            found, refusal = attempt_score(tasks, method, settings, {"steps": steps})
            rows[name][method] = found.psnr
            given.json.write_text(json.dumps(rows, indent=1))
            sys.stderr.write(f"{name} {method}: {refusal or f'{found.psnr:.2f} dB, {found.seconds:.0f} s'}\n")
    lines = (
        f"| {name} | {row['decoupled']:.2f} | {row['dps']:.2f} | {row['decoupled'] - row['dps']:+.2f} |"
        for name, row in rows.items()
    )
    sys.stdout.write("\n".join([HEAD, *lines]) + "\n")


if __name__ == "__main__":
    main()
