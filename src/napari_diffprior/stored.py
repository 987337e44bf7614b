"""Results of large stacks that stay in OME-Zarrs, and are read where they are looked at."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from .io import with_addition, zarr_axes
from .result import Restoration
from .stream import restore_chunks

if TYPE_CHECKING:
    from .plane import Update
    from .recipe import Recipe


def restore_stored(
    image: Any, output: Path, mask: Any = None, psf: Any = None, *, recipe: Recipe, **settings: Any
) -> Generator[Update, None, Restoration]:
    """Restore a stack into OME-Zarrs, as ``restore_chunks``, with a result that is read from them where it is looked at.

    Parameters
    ----------
    image, mask, psf, recipe, **settings
        As for ``restore_chunks``.
    output : Path
        OME-Zarr for the mean; for the others see ``stored_paths``.
    """
    outputs = stored_paths(output, recipe)
    story = yield from restore_chunks(image, outputs, mask, psf, recipe=recipe, **settings)
    found = {kind: _stored(path, ("s" if kind == "samples" else "") + story["axes"]) for kind, path in outputs.items()}
    mean = found.pop("mean")
    std, samples = found.pop("std", 0 * mean), found.pop("samples", np.zeros((0, *mean.shape), np.float32))
    misfit, reason = tuple(story["misfit"]), story["not_calibrated"]
    return Restoration(mean, std, samples, misfit, story["calls"], story["seconds"], recipe, story, reason, found)


def stored_paths(output: Path, recipe: Recipe) -> dict[str, Path]:
    """OME-Zarrs of all images that a recipe asks for, by kind: beside that of the mean, with an addition to its name."""
    several = recipe.samples > 1
    added = {"mean": ""} | ({"std": "_std"} if several else {}) | ({"samples": "_samples"} if recipe.keep_samples else {})
    added |= {"low": "_05", "high": "_95"} if recipe.quantiles and several else {}
    return {kind: with_addition(output, addition) for kind, addition in added.items()}


def _stored(store: Path, axes: str) -> Any:
    """A written array with its axes in the order of the image; dask reads what is asked for."""
    import dask.array

    found = zarr_axes(axes)
    array = dask.array.from_zarr(store / "0", name=f"restored-{uuid4().hex}")  # a name of the path would bring back old pixels
    return array.transpose([found.index(letter) for letter in axes])
