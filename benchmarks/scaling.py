"""How the cost grows with pixels and with samples, and what bfloat16 does to the result.

OMP_NUM_THREADS=2 python benchmarks/scaling.py pixels samples
OMP_NUM_THREADS=2 python benchmarks/scaling.py precision
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from napari_diffprior.bench.pictures import clean_pictures
from napari_diffprior.bench.tasks import Task, make_task
from napari_diffprior.metrics import psnr
from napari_diffprior.restoration import restore


def task_of(side: int, name: str = "scattered") -> Task:
    """A task on the package's sample, mirrored to a size."""
    (picture,) = clean_pictures(size=min(side, 256))
    return make_task(name, np.pad(picture, (0, side - len(picture)), mode="symmetric"))


def seconds(task: Task, **settings: Any) -> float:
    """Time of a restoration."""
    started = time.perf_counter()
    restore(task.image, sampler="decoupled", **settings, **task.settings())
    return time.perf_counter() - started


def medians(cases: dict[int, Callable[[], float]], repeats: int) -> dict[int, float]:
    """Median time of each case, in turns; the first turn, which loads and warms up, does not count."""
    turns = [[measure() for measure in cases.values()] for _ in range(repeats + 1)]
    return dict(zip(cases, (statistics.median(times) for times in zip(*turns[1:], strict=True)), strict=True))


def pixels(options: argparse.Namespace) -> None:
    """Microseconds a pixel and step, for one sample."""
    cases = {side: partial(seconds, task_of(side), samples=1, steps=options.steps) for side in options.sides}
    for side, taken in medians(cases, options.repeats).items():
        say(side=side, seconds=round(taken, 3), microseconds=round(1e6 * taken / side**2 / options.steps, 4))


def samples(options: argparse.Namespace) -> None:
    """Seconds a sample."""
    cases = {count: partial(seconds, task_of(256), samples=count, steps=options.steps) for count in (1, 2, 4, 8)}
    for count, taken in medians(cases, options.repeats).items():
        say(samples=count, seconds=round(taken, 3), each=round(taken / count, 4))


def precision(_: argparse.Namespace) -> None:
    """PSNR of the mean of two samples in both precisions."""
    for name in ("scattered", "deblur"):
        task = task_of(256, name)
        found = {}
        for kind in ("float32", "bfloat16"):
            mean = restore(task.image, sampler="decoupled", samples=2, precision=kind, **task.settings()).mean
            found[kind] = round(float(psnr(mean, task.reference)), 3)
        say(task=name, **found)


def say(**row: Any) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Print the rows of the studies asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    studies = {"pixels": pixels, "samples": samples, "precision": precision}
    parser.add_argument("studies", nargs="+", choices=list(studies))
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512, 1024, 2048])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    for study in options.studies:
        studies[study](options)


if __name__ == "__main__":
    main()
