"""Where a run's images go: live and result layers, or the preview layer."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from napari.layers import Layer
from qtpy.QtCore import QEventLoop
from qtpy.QtWidgets import QApplication

from ..axes import Layout, place_of
from ..layers import layer_pixels, moved, result_layers, spatial
from .layer_choice import role

if TYPE_CHECKING:
    from ..restoration import Restoration

Array = np.ndarray[Any, Any]


class Output(Protocol):
    """Receives the images of one run, in the main thread."""

    def prepare(self) -> None:
        """Make room for estimates, before the run keeps all cores busy; only called if there will be some."""

    def show(self, image: Array, position: tuple[int, ...]) -> None:
        """Show an estimate of one plane on the way."""

    def finish(self, result: "Restoration") -> None:
        """Keep the result."""

    def close(self) -> None:
        """Remove what was only there while it ran; called once, at the end of every run."""


def frozen(layer: Any) -> SimpleNamespace:
    """What a result takes over from its input layer, in case that is changed or deleted meanwhile."""
    look = {"colormap": layer.colormap, "contrast_limits": tuple(layer.contrast_limits), "rgb": layer.rgb}
    kind = np.empty(0, layer_pixels(layer, colour=True).dtype)
    return SimpleNamespace(name=layer.name, data=kind, **look, **spatial(layer))


def made_layer(data: Any, settings: dict[str, Any], kind: str) -> Any:
    """The layer of a layer-data tuple; channels are not colours, unless it says so."""
    return Layer.create(data, {"rgb": False, **settings}, kind)


def _corner(layout: Layout, position: tuple[int, ...]) -> tuple[int, ...]:
    """First pixel of a plane in the whole array."""
    at = layout.named(position)
    return tuple(at.get(letter, layout.span(letter)[0]) for letter in layout.axes)


def _as_stack(layout: Layout, image: Array, ndim: int) -> Array:
    """A plane as an array of all axes of the layer, one pixel wide along the leading ones; one colour of RGB is grey."""
    sliders = (number for number, letter in enumerate(layout.axes[:ndim]) if letter in layout.leading)
    return np.expand_dims(layout.arrange(image), tuple(sliders))


class ResultOutput:
    """A live layer while it runs, which becomes the restored one, and the other result layers; the input is not touched.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Image
        Input of the run.
    layout : Layout
        Which part of it is restored.
    """

    def __init__(self, viewer: Any, layer: Any, layout: Layout) -> None:
        self._viewer, self._source, self._layout = viewer, frozen(layer), layout
        self._ndim = len(self._source.scale)
        self._live: Any = None
        self._shown = False

    def prepare(self) -> None:
        """Add the live layer, hidden until there is something to see: beside a run it takes napari twice as long."""
        sides = dict(zip(self._layout.axes, self._layout.result_shape, strict=True))
        empty = np.zeros([sides[letter] for letter in self._layout.core], np.float32)
        look = {"colormap": self._source.colormap, "contrast_limits": self._source.contrast_limits, "visible": False}
        told = {"name": f"{self._source.name} (restoring)", "metadata": role("preview")}
        settings = {**self._place(next(self._layout.positions())), **look, **told}
        self._live = add(self._viewer, made_layer(_as_stack(self._layout, empty, self._ndim), settings, "image"))

    def show(self, image: Array, position: tuple[int, ...]) -> None:
        """Show or update the live layer, in the place of the plane; if the user deleted it, it stays away."""
        if self._live is None:
            self.prepare()
        if self._live in self._viewer.layers:
            self._live.data = _as_stack(self._layout, image, self._ndim)
            self._live.translate = self._place(position)["translate"]
            self._live.visible |= not self._shown
            self._shown = True

    def _place(self, position: tuple[int, ...]) -> dict[str, Any]:
        """Spatial attributes of a restored plane."""
        first = place_of(self._layout.axes, _corner(self._layout, position), self._layout.upsample)
        return moved(spatial(self._source), *first)

    def finish(self, result: "Restoration") -> None:
        """Show the result layers; quantiles and samples too if they were asked for."""
        asked = result.recipe
        quantiles = asked.quantiles and asked.samples > 1
        restored, *others = result_layers(self._source, result, bool(asked.keep_samples), quantiles)
        if not self._become(*restored):
            self.close()
            add(self._viewer, made_layer(*restored))
        for layer in others:
            add(self._viewer, made_layer(*layer))

    def _become(self, data: Any, settings: dict[str, Any], kind: str) -> bool:
        """Turn the live layer into the restored one, as the user may have set its look; napari takes long to replace it."""
        live = self._live
        if live is None or live not in self._viewer.layers or settings.get("rgb"):
            return False
        live.data = data
        live.visible |= not self._shown  # no estimate came before the end
        for name in ("translate", "metadata", "name"):
            setattr(live, name, settings[name])
        self._live = None
        return True

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
    layout : Layout
        Part of it that is restored.
    """

    def __init__(self, viewer: Any, layer: Any, layout: Layout) -> None:
        self._viewer, self._source = viewer, frozen(layer)

    def prepare(self) -> None:
        """Nothing: a preview is quick."""

    def show(self, image: Array, position: tuple[int, ...]) -> None:
        """Nothing: a preview is quick."""

    def finish(self, result: "Restoration") -> None:
        """Replace the preview layer."""
        name = f"{self._source.name} preview"
        for layer in [layer for layer in self._viewer.layers if layer.name == name]:
            self._viewer.layers.remove(layer)
        made = made_layer(*result_layers(self._source, result)[0])
        made.name = name
        made.metadata = {"napari-diffprior": {**result.provenance, "role": "preview"}}
        add(self._viewer, made)

    def close(self) -> None:
        """Nothing: the preview stays."""


def add(viewer: Any, layer: Any) -> Any:
    """Add a layer and leave the user's selection as it was: someone may be painting.

    Making a layer and showing it take napari up to 0.1 s each, so what waits to be drawn is drawn before and after.
    """
    _draw()
    active = viewer.layers.selection.active
    added = viewer.add_layer(layer)
    if active is not None:
        viewer.layers.selection.active = active
    _draw()
    return added


def _draw() -> None:
    """Let the window draw what waits, and answer to nobody."""
    QApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
