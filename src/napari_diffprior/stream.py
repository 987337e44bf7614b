"""A large stack restored plane by plane and written chunk by chunk; nothing is held whole in memory."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from .axes import Layout, Position
from .distributed import CANCELLED, later, lazy_part, runner
from .io import Calibration, create_zarr, is_zarr, move_into_place, set_metadata, zarr_axes
from .plane import Engine, PlaneResult, Update, keeps_samples, run_to_end
from .recipe import Recipe
from .restoration import layout_of, own_prior, restore_part
from .result import QUANTILES, summarise

if TYPE_CHECKING:
    from .priors.contract import Denoiser

Array = np.ndarray[Any, Any]
RECORDS = "records"


@dataclass(frozen=True)
class PlaneTask:
    """All that a worker needs besides the pixels.

    Parameters
    ----------
    layout : Layout
    position : tuple of int
    recipe : Recipe
    prior : Denoiser, optional
        Instead of the recipe's.
    psf : array_like, optional
    folders : mapping of str to Path
        Where mean, std, ... are written, see ``KINDS``.
    threads : int
        Threads of torch: the same everywhere, so that sums are taken in the same order and give the same bytes.
    """

    layout: Layout
    position: Position
    recipe: Recipe
    prior: Denoiser | None
    psf: Any
    folders: Mapping[str, Path]
    threads: int


KINDS: dict[str, Callable[[PlaneResult], Array]] = {
    "mean": lambda plane: plane.mean,
    "std": lambda plane: plane.std,
    "samples": lambda plane: plane.samples if len(plane.samples) else plane.mean[None],
    **{name: partial(PlaneResult.quantile, level=level) for name, level in QUANTILES.items()},
}


def run_task(task: PlaneTask, pixels: Array, missing: Array | None) -> str:
    """Restore one plane, write it, and return its record as JSON text; runs on a worker."""
    import torch

    if torch.get_num_threads() != task.threads:
        torch.set_num_threads(task.threads)
    engine = Engine.of(task.recipe, task.prior, CANCELLED.get())
    few = not QUANTILES.keys().isdisjoint(task.folders) and keeps_samples(task.recipe, math.prod(task.layout.result_shape))
    keep = few or "samples" in task.folders  # quantiles come from samples where they would in memory
    plane = run_to_end(restore_part(task.layout, pixels, missing, task.psf, engine, task.position, keep))
    for kind, folder in task.folders.items():
        _write(folder, task.layout, task.position, KINDS[kind](plane), kind)
    record = json.dumps({"position": task.position, **plane.record(), "device": engine.device.name})
    _record_file(task.folders["mean"], task.position).write_text(record)
    return record


def _write(folder: Path, layout: Layout, position: Position, plane: Array, kind: str) -> None:
    import zarr

    at = {"s": slice(None), **dict(zip(layout.axes, layout.target(position), strict=True))}
    axes = zarr_axes(("s" if kind == "samples" else "") + layout.axes)
    array = zarr.open_array(folder / "0", mode="r+")
    array[tuple(at[letter] for letter in axes)] = plane


def _record_file(folder: Path, position: Position) -> Path:
    return folder / RECORDS / ("_".join(map(str, position)) + ".json" if position else "plane.json")


def restore_chunks(
    image: Any,
    outputs: Mapping[str, Path],
    mask: Any = None,
    psf: Any = None,
    *,
    recipe: Recipe | None = None,
    prior: Denoiser | None = None,
    calibration: Calibration | None = None,
    metadata: Mapping[str, Any] | None = None,
    token: str = "",
    scheduler: str | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Generator[Update, None, dict[str, Any]]:
    """Restore a stack into OME-Zarrs plane by plane; nothing is held whole in memory.

    A plane that a worker loses is restored again by another one. What is there when a run ends early is taken up by
    the next one with the same token and settings.

    Parameters
    ----------
    image : array_like
        numpy, dask or zarr, or anything that reads a part when it is indexed and can be sent to the workers.
    outputs : mapping of str to Path
        Where "mean" goes, and on request "std", "samples", "low" and "high" (5 % and 95 %); workers see the same paths.
    mask, psf, recipe, prior, cancelled
        As for ``restore_iter``.
    calibration : Calibration, optional
        Of the image.
    metadata : mapping, optional
        Said of the result besides its provenance.
    token : str
        Names the input for a later run that goes on; empty: none can.
    scheduler : str, optional
        Address of a dask scheduler; by default the active client, or else this process, one plane after another.

    Yields
    ------
    Update
        After each plane.

    Returns
    -------
    dict
        The provenance, as in ``Restoration.provenance``.
    """
    import torch

    started, recipe = time.monotonic(), recipe or Recipe()
    layout = layout_of(image, psf, recipe, calibration.axes if calibration else None)
    if mask is not None:
        layout.mask_of(mask)
    place = replace(calibration or Calibration.pixels(len(image.shape)), axes=layout.axes).of_part(*layout.place)
    parts = {kind: _part_name(path, f"{token or uuid4().hex}{recipe.fingerprint()}") for kind, path in outputs.items()}
    done: dict[Position, dict[str, Any]] = {}
    with ExitStack() as undo:
        undo.callback(lambda: _give_up(parts, done, token))
        done |= _prepare(parts, layout, place, recipe)
        left = [position for position in layout.positions() if position not in done]
        tasks = [PlaneTask(layout, position, recipe, prior, psf, parts, torch.get_num_threads()) for position in left]
        for record in list(done.values()):
            yield _progress(record, len(done), layout, parts["mean"])
        engine = Engine.of(recipe, prior, cancelled)
        with runner(scheduler) as run:
            for text in run([_later(task, image, mask) for task in tasks], cancelled):
                record = json.loads(text)
                done[tuple(record["position"])] = record
                yield _progress(record, len(done), layout, parts["mean"])
        summary = summarise(layout, [(position, done[position]) for position in layout.positions()], recipe)
        story = {**engine.provenance(), **summary, "seconds": round(time.monotonic() - started, 3), **(metadata or {})}
        _finish(parts, outputs, story)
        undo.pop_all()
    return story


def _give_up(parts: Mapping[str, Path], done: Mapping[Position, Mapping[str, Any]], token: str) -> None:
    """Remove what no later run would take up: without a name, or with no plane that took any work."""
    if not (token and any(record["misfit"] for record in done.values())):
        _remove(parts)


def _finish(parts: Mapping[str, Path], outputs: Mapping[str, Path], story: Mapping[str, Any]) -> None:
    """Give the finished stores their provenance and their names."""
    shutil.rmtree(parts["mean"] / RECORDS)
    for kind in sorted(outputs, key=lambda kind: kind == "mean"):  # where the mean is, the others are
        set_metadata(parts[kind], {"napari-diffprior": story})
        move_into_place(parts[kind], outputs[kind])


def _part_name(path: Path, token: str) -> Path:
    return path.with_name(f".{path.name[:100]}.{sha256(token.encode()).hexdigest()[:12]}.part")


def _remove(parts: Mapping[str, Path]) -> None:
    for part in parts.values():
        shutil.rmtree(part, ignore_errors=True)


def _prepare(parts: Mapping[str, Path], layout: Layout, place: Calibration, recipe: Recipe) -> dict[Position, dict[str, Any]]:
    """Make the empty arrays, or find the planes of a run that ended early."""
    records = parts["mean"] / RECORDS
    if records.is_dir() and all(is_zarr(part) for part in parts.values()):
        found = [json.loads(file.read_text()) for file in records.glob("*.json") if file.stat().st_size]
        return {tuple(record["position"]): record for record in found}
    _remove(parts)
    for kind, part in parts.items():
        extra = kind == "samples"
        shape = (recipe.samples, *layout.result_shape) if extra else layout.result_shape
        create_zarr(part, shape, place.with_samples() if extra else place)
    records.mkdir()
    return {}


def _later(task: PlaneTask, image: Any, mask: Any) -> Any:
    """The task with the pixels of its plane, which are read where it runs."""
    layout, position = task.layout, task.position
    missing = None if mask is None else lazy_part(mask, layout.mask_source(mask, position))
    return later(run_task, task, lazy_part(image, layout.source(position)), missing)


def _progress(record: Mapping[str, Any], done: int, layout: Layout, folder: Path) -> Update:
    import zarr

    position = tuple(record["position"])
    at = dict(zip(layout.axes, layout.target(position), strict=True))
    index = tuple(at[letter] for letter in zarr_axes(layout.axes))
    misfit = float(np.mean(record["misfit"])) if record["misfit"] else float("nan")
    return Update(done, layout.count, 0.0, misfit, lambda: np.asarray(zarr.open_array(folder / "0", mode="r")[index]), position)


def restore_to_zarr(
    image: Any,
    output: str | Path,
    mask: Any = None,
    psf: Any = None,
    *,
    progress: Callable[[Update], None] | None = None,
    calibration: Calibration | None = None,
    scheduler: str | None = None,
    std: str | Path | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Restore a dask or zarr array into an OME-Zarr, plane by plane on a dask scheduler.

    Parameters
    ----------
    image, mask, psf, progress, **settings
        As for ``restore``.
    output : str or Path
        OME-Zarr for the mean of the samples.
    calibration : Calibration, optional
        Axes, steps and units of the image.
    scheduler : str, optional
        Address of a dask scheduler; by default the active client, or else this process.
    std : str or Path, optional
        OME-Zarr for the standard deviation.

    Returns
    -------
    dict
        Provenance: recipe, prior, versions, misfit of each plane.
    """
    recipe, own = own_prior(settings)
    outputs = {"mean": Path(output)} | ({} if std is None else {"std": Path(std)})
    steps = restore_chunks(image, outputs, mask, psf, recipe=recipe, prior=own, calibration=calibration, scheduler=scheduler)
    return run_to_end(steps, progress)
