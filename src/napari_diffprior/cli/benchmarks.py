"""``diffprior bench``: quality, coverage and speed on pictures whose truth is known."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from .app import bench
from .terminal import write_line


@Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """What the benchmarks of pictures share.

    Parameters
    ----------
    pictures
        Folders or files of clean pictures; by default the package's BPAE sample.
    size
        Side of the square crops, in pixels.
    images
        Number of crops; figures are means over them.
    samplers
        Samplers by name, such as decoupled; by default all.
    prior
        Name of an embedded prior, or a folder in the diffusers layout.
    steps
        Steps of every sampler; by default each sampler's own.
    seed
        Seed of the damage and of the samples.
    device
        auto, cpu, cuda or mps.
    csv
        File for the rows.
    json
        File for the rows, with the settings and the versions.
    markdown
        File for the table.
    """

    pictures: Annotated[tuple[Path, ...], Parameter(negative="", consume_multiple=True)] = ()
    size: int = 128
    images: int = 1
    samplers: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)] = ()
    prior: str = "microscopy"
    steps: int | None = None
    seed: int = 0
    device: str = "auto"
    csv: Path | None = None
    json: Annotated[Path | None, Parameter(negative="")] = field(default=None)
    markdown: Path | None = None


@bench.command(name="poster")
def poster_(
    *,
    starts: Annotated[tuple[int, ...], Parameter(negative="", consume_multiple=True)] = (300, 400, 500),
    thin: int = 1,
    samples: int = 1,
    options: Options = Options(),
) -> None:
    """Print the source poster's table with this prior, then the same columns for the samplers' defaults.

    SDEdit, ScoreALD and DPS begin at timestep T of 1000 and take T steps. A star marks the best of each column.

    Parameters
    ----------
    starts
        Timesteps T.
    thin
        Timesteps to a step: 1 as on the poster, 10 for a tenth of the work.
    samples
        Posterior samples whose mean is measured.
    """
    from ..bench.poster import COLUMNS, poster

    _run(options, samples, COLUMNS, lambda pictures, settings, names, say: poster(pictures, settings, names, starts, thin, say))


@bench.command(name="quality")
def quality_(
    *,
    tasks: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)] = (),
    samples: int = 8,
    options: Options = Options(),
) -> None:
    """Print PSNR, SSIM, LPIPS, misfit, coverage, seconds and network calls of every sampler on six tasks.

    Classical baselines come first, at the setting that is best for the very picture.

    Parameters
    ----------
    tasks
        Tasks by name; by default all.
    samples
        Posterior samples whose mean is measured.
    """
    from ..bench.quality import COLUMNS, quality

    _run(options, samples, COLUMNS, lambda pictures, settings, names, say: quality(pictures, settings, names, tasks, say))


@bench.command(name="coverage")
def coverage_(
    *,
    tasks: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)] = (),
    samples: int = 16,
    options: Options = Options(),
) -> None:
    """Print how often the truth lies in the 50 % and 90 % intervals, per task, noise level and sampler.

    The interval is what a restoration reports: for up to 18 samples mean +- t std, with the prior's
    coverage factor in std; from 19 on the samples' own quantiles, widened by the same factor.

    Parameters
    ----------
    tasks
        Tasks by name; by default all.
    samples
        Posterior samples, two or more.
    """
    from ..bench.coverage import COLUMNS, coverage_table

    _run(options, samples, COLUMNS, lambda pictures, settings, names, say: coverage_table(pictures, settings, names, tasks, say))


@bench.command(name="grid")
def grid_(
    *,
    tasks: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)] = (),
    steps: Annotated[tuple[int, ...], Parameter(name="--grid-steps", negative="", consume_multiple=True)] = (20, 50),
    samples: int = 4,
    options: Options = Options(),
) -> None:
    """Print what sampler = auto reaches beside a grid search over samplers, steps and weights, on six tasks.

    Parameters
    ----------
    tasks
        Tasks by name; by default all.
    steps
        Numbers of steps that the grid tries.
    samples
        Posterior samples whose mean is measured.
    """
    from ..bench.grid import COLUMNS, grid

    _run(options, samples, COLUMNS, lambda pictures, settings, names, say: grid(pictures, settings, names, tasks, steps, say))


@bench.command(name="speed")
def speed_(
    *,
    samplers: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)] = (),
    sizes: Annotated[tuple[int, ...], Parameter(negative="", consume_multiple=True)] = (256, 1024),
    batches: Annotated[tuple[int, ...], Parameter(negative="", consume_multiple=True)] = (1, 8),
    steps: int = 10,
    repeats: int = 5,
    prior: str = "microscopy",
    device: str = "auto",
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    csv: Path | None = None,
    json: Annotated[Path | None, Parameter(negative="")] = None,
    markdown: Path | None = None,
) -> None:
    """Print wall time, bare network calls of the same number and shapes, their ratio, and peak memory.

    Each case is a process of its own; restoration and bare calls take turns, and medians are reported.

    Parameters
    ----------
    samplers
        Samplers by name; by default all.
    sizes
        Sides of the images, in pixels.
    batches
        Samples drawn at once.
    steps
        Steps of every sampler.
    repeats
        Turns, after one to warm up.
    prior
        Name of an embedded prior, or a folder in the diffusers layout.
    device
        auto, cpu, cuda or mps.
    precision
        auto, float32 or bfloat16.
    csv
        File for the rows.
    json
        File for the rows, with every single time and the machine.
    markdown
        File for the table.
    """
    from ..bench.speed import COLUMNS, machine, speed
    from ..bench.tables import Files, text

    files = Files(csv, json, markdown)
    files.check()
    settings = {"steps": steps, "repeats": repeats, "prior": prior, "device": device, "precision": precision}
    rows = speed(samplers, sizes, batches, _progress, **settings)
    files.write(rows, COLUMNS, machine())
    write_line(text(rows, COLUMNS))


def _progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _run(options: Options, samples: int, columns: Sequence[Any], measure: Callable[..., list[dict[str, Any]]]) -> None:
    """Pictures in, table out; progress goes to stderr."""
    from ..bench.pictures import clean_pictures
    from ..bench.scoring import Settings
    from ..bench.tables import Files, text

    files = Files(options.csv, options.json, options.markdown)
    files.check()
    settings = Settings(options.prior, samples, options.steps, options.seed, options.device)
    pictures = clean_pictures(options.pictures, options.size, options.images)
    rows = measure(pictures, settings, options.samplers, _progress)
    chosen = {"pictures": [str(path) for path in options.pictures], "size": options.size}
    files.write(rows, columns, settings.about() | chosen)
    write_line(text(rows, columns))
