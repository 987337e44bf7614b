"""``diffprior bench prior``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .app import bench
from .terminal import write_line


@bench.command(name="prior")
def prior_(
    prior: str = "microscopy",
    /,
    *,
    data: Annotated[tuple[Path, ...], Parameter(negative="", consume_multiple=True)] = (),
    bpae: Path | None = None,
    images: int = 10,
    size: int = 128,
    samples: int = 8,
    sampler: str = "decoupled",
    tasks: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)] = (),
    seed: int = 0,
    device: str = "auto",
    json_: Annotated[Path | None, Parameter(name="--json", negative="")] = None,
    markdown: Path | None = None,
) -> None:
    """Print what a prior gains over the best classical method in denoising, gap filling and deblurring.

    Parameters
    ----------
    prior
        Name of a prior, or a folder.
    data
        Folders or files of clean pictures that it was not trained on.
    bpae
        A second collection, shown by itself: the BPAE cells.
    images
        Crops of each collection, from different pictures; figures are means over them.
    size
        Side of the square crops, in pixels.
    samples
        Posterior samples whose mean is measured.
    sampler
        What draws them.
    tasks
        Tasks by name: denoise, scattered, hole, deblur; by default all.
    seed
        Seed of the damage and of the samples.
    device
        auto, cpu, cuda or mps.
    json_
        File for the rows, with the settings.
    markdown
        File for the table.
    """
    from dataclasses import asdict

    from ..bench.prior import COLUMNS, PriorBench, prior_table
    from ..bench.tables import Files, text

    files = Files(json=json_, markdown=markdown)
    files.check()
    collections = {name: paths for name, paths in (("data", data), ("BPAE", (bpae,) if bpae else ())) if paths}
    if not collections:
        raise ValueError("there is nothing to measure on: give --data FOLDER or --bpae FILE.")
    settings = PriorBench(prior, images, size, samples, sampler, tasks, seed, device)
    rows = prior_table(collections, settings, lambda line: sys.stderr.write(f"{line}\n"))
    files.write(
        rows, COLUMNS, {**asdict(settings), **{name: [str(path) for path in paths] for name, paths in collections.items()}}
    )
    write_line(text(rows, COLUMNS))
