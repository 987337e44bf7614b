"""The layer "prior samples", which grows while a prior is trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QTimer

from .layer_choice import role
from .outputs import add, made_layer

NAME = "prior samples"
BREATH_MS = 20


class SampleGrids:
    """One image layer whose leading axis is the time of the training; the newest picture is shown.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Any = None
        self._seen = 0
        self._grids: list[Any] = []

    def restart(self) -> None:
        """Forget the pictures of another run; the layer with them stays."""
        self._layer, self._seen, self._grids = None, 0, []

    def show(self, pictures: Sequence[Path]) -> None:
        """Add what is new or was written anew; if the user deleted the layer, it comes back with the next picture."""
        from skimage.io import imread

        new = [path for path in pictures if path.stat().st_mtime_ns > self._seen]
        if not new:
            return
        try:
            grids = [np.asarray(imread(path)) for path in new]
        except (OSError, ValueError, SyntaxError):
            return  # one is being written; the next look finds it
        self._seen = max(path.stat().st_mtime_ns for path in new)
        self._grids = [grid for grid in (*self._grids, *grids) if grid.shape == grids[-1].shape]
        if self._layer is None or self._layer not in self._viewer.layers:
            self._layer = add(self._viewer, made_layer(grids[-1], {"name": NAME, "metadata": role("preview")}, "image"))
        QTimer.singleShot(BREATH_MS, self._newest)  # a layer and then a slider: the window answers in between

    def _newest(self) -> None:
        """Put all pictures in the layer and go to the last one."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._layer.data = np.stack(self._grids)
            self._layer.axis_labels = ("time", "y", "x")
            self._viewer.dims.set_current_step(self._viewer.dims.ndim - self._layer.ndim, len(self._layer.data) - 1)
