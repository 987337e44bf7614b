"""The layer "prior samples", which grows while a prior is trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .layer_choice import role

NAME = "prior samples"


class SampleGrids:
    """One image layer whose leading axis is the time of the training; the newest picture is shown.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Any = None
        self._seen: list[tuple[Path, int]] = []

    def show(self, pictures: Sequence[Path]) -> None:
        """Bring the layer up to date; if the user deleted it, it comes back with the next picture."""
        from skimage.io import imread

        now = [(path, path.stat().st_mtime_ns) for path in pictures]
        if not now or now == self._seen:
            return
        self._seen = now
        try:
            grids = [np.asarray(imread(path)) for path in pictures]
        except (OSError, ValueError, SyntaxError):
            return  # one is being written; the next look finds it
        stack = np.stack([grid for grid in grids if grid.shape == grids[-1].shape])
        if self._layer is None or self._layer not in self._viewer.layers:
            self._layer = self._viewer.add_image(stack, name=NAME, metadata=role("preview"), axis_labels=("time", "y", "x"))
        else:
            self._layer.data = stack
        self._viewer.dims.set_current_step(self._viewer.dims.ndim - stack.ndim, len(stack) - 1)
