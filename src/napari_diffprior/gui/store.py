"""Row for where the results of a large stack go: an OME-Zarr, written plane by plane, or memory."""

from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from magicgui.types import FileDialogMode
from magicgui.widgets import FileEdit

from ..axes import Layout
from ..io import ZARR_SUFFIXES, Calibration, check_output, with_addition
from ..layers import spatial
from ..recipe import Recipe
from ..stored import stored_paths
from .files import calibration_of
from .rows import path_of
from .worker import Request


@dataclass(frozen=True)
class Store:
    """Where results are written.

    Parameters
    ----------
    path : Path
        OME-Zarr for the mean.
    calibration : Calibration
        Of the image.
    """

    path: Path
    calibration: Calibration


class StoreRow:
    """Row "Write to", for stacks."""

    def __init__(self) -> None:
        self.box: Any = FileEdit(mode=FileDialogMode.OPTIONAL_FILE, name="store", label="Write to", filter="OME-Zarr (*.zarr)")
        self.box.tooltip = (
            "OME-Zarr for the results, written plane by plane and read as you look; if it is there, the next free number is put "
            "behind its name. Empty: results stay in memory."
        )

    def follow(self, layer: Any) -> None:
        """Show the row for stacks."""
        self.box.visible = layer is not None and layer.ndim > 2

    def chosen(self, layer: Any, layout: Layout, recipe: Recipe) -> Store | None:
        """Where the results of a run go; None for memory.

        Raises
        ------
        ValueError, OSError
            If they cannot be written there.
        """
        path = path_of(self.box)
        if path is None or layer.ndim < 3:
            return None
        if path.suffix.lower() not in ZARR_SUFFIXES:
            raise ValueError(f"results of stacks are written as OME-Zarr: let the name {path.name} end in .ome.zarr.")
        rgb = bool(getattr(layer, "rgb", False))
        found = calibration_of(spatial(layer), layout.shape, rgb)
        place = Calibration(found.scale, found.units, layout.axes, found.translate)
        for kind in stored_paths(path, recipe):
            check_output(path, layout.result_shape, place.with_samples() if kind == "samples" else place)
        return Store(_free(path, recipe), place)


def _free(path: Path, recipe: Recipe) -> Path:
    """The path, with a number where one of its stores is taken: layers may be reading what lies there."""
    others = (with_addition(path, f"_{number}") for number in count(2))
    return next(one for one in chain([path], others) if not any(store.exists() for store in stored_paths(one, recipe).values()))


def that_fits(request: Request) -> Request:
    """The request, if its results fit where they go.

    Raises
    ------
    ValueError
        If they do not fit into the memory that is free.
    """
    recipe = request.recipe
    images = 2 + 2 * recipe.quantiles + (recipe.samples if recipe.keep_samples else 0)
    needed = images * np.dtype(np.float32).itemsize * float(np.prod(request.layout.result_shape, dtype=float))
    if request.store is None and needed > psutil.virtual_memory().available:
        raise ValueError(f"the results take {needed / 2**30:.0f} GiB of memory: choose an OME-Zarr in Write to, or a region.")
    return request
