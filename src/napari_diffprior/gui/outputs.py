"""Where a run's images go: live and result layers, or the preview layer."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from napari.layers import Layer

from ..layers import result_layers, spatial
from .layer_choice import role, translate_to

if TYPE_CHECKING:
    from ..restoration import Restoration

Array = np.ndarray[Any, Any]


class Output(Protocol):
    """Receives the images of one run, in the main thread."""

    def show(self, image: Array) -> None:
        """Show an estimate on the way."""

    def finish(self, result: "Restoration") -> None:
        """Keep the result."""

    def close(self) -> None:
        """Remove what was only there while it ran; called once, at the end of every run."""


def frozen(layer: Any) -> SimpleNamespace:
    """What a result takes over from its input layer, in case that is changed or deleted meanwhile."""
    look = {"colormap": layer.colormap, "contrast_limits": tuple(layer.contrast_limits)}
    return SimpleNamespace(name=layer.name, **look, **spatial(layer))


class ResultOutput:
    """A live layer while it runs, then the result layers; the input layer is not touched.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Image
        Input of the run.
    """

    def __init__(self, viewer: Any, layer: Any) -> None:
        self._viewer, self._source = viewer, frozen(layer)
        self._live: Any = None

    def show(self, image: Array) -> None:
        """Show or update the live layer; if the user deleted it, it stays away."""
        if self._live is None:
            settings = {**spatial(self._source), "metadata": role("preview"), "name": f"{self._source.name} (restoring)"}
            look = {"colormap": self._source.colormap, "contrast_limits": self._source.contrast_limits}
            self._live = _add(self._viewer, Layer.create(image, {**settings, **look}, "image"))
        elif self._live in self._viewer.layers:
            self._live.data = image

    def finish(self, result: "Restoration") -> None:
        """Add the result layers."""
        self.close()
        for data, settings, kind in result_layers(self._source, result):
            _add(self._viewer, Layer.create(data, settings, kind))

    def close(self) -> None:
        """Remove the live layer."""
        if self._live is not None and self._live in self._viewer.layers:
            self._viewer.layers.remove(self._live)
        self._live = None


class PreviewOutput:
    """One layer "<image> preview" over the restored field, replaced by the next preview.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Image
        Input of the run.
    field : tuple of slice
        Part of it that is restored.
    """

    def __init__(self, viewer: Any, layer: Any, field: tuple[slice, ...]) -> None:
        self._viewer, self._source = viewer, frozen(layer)
        self._translate = translate_to(layer, tuple(part.start for part in field))

    def show(self, image: Array) -> None:
        """Nothing: a preview is quick."""

    def finish(self, result: "Restoration") -> None:
        """Replace the preview layer."""
        name = f"{self._source.name} preview"
        for layer in [layer for layer in self._viewer.layers if layer.name == name]:
            self._viewer.layers.remove(layer)
        (data, settings, _), *_ = result_layers(self._source, result)
        metadata = {"napari-diffprior": {**result.provenance, "role": "preview"}}
        settings = {**settings, "name": name, "translate": self._translate, "metadata": metadata}
        _add(self._viewer, Layer.create(data, settings, "image"))

    def close(self) -> None:
        """Nothing: the preview stays."""


def _add(viewer: Any, layer: Any) -> Any:
    """Add a layer and leave the user's selection as it was: someone may be painting."""
    active = viewer.layers.selection.active
    added = viewer.add_layer(layer)
    if active is not None:
        viewer.layers.selection.active = active
    return added
