"""Choosing layers: combo boxes that follow the viewer, and what a layer's role and visible field are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from magicgui.widgets import ComboBox
from napari.layers import Image, Labels

from ..layers import layer_pixels

KEY = "napari-diffprior"


def layer_box(viewer: Any, kind: type[Image] | type[Labels], nullable: bool = False, **options: Any) -> ComboBox:
    """Combo box of the viewer's layers of one kind; ``reset_choices`` brings it up to date."""

    def choices(_: Any) -> list[Any]:
        return [layer for layer in viewer.layers if isinstance(layer, kind) and not is_role(layer, "preview")]

    return ComboBox(choices=choices, nullable=nullable, **options)


def file_of(source: Any) -> Path | None:
    """File that a layer was read from, or a path itself; None where there is none."""
    path = source if isinstance(source, Path) else source.source.path
    return Path(path) if path is not None and Path(path).exists() else None


def follow_layers(viewer: Any, callback: Callable[..., None]) -> Callable[[], None]:
    """Call back when layers come, go, move or are renamed; returns what stops it."""
    events = viewer.layers.events
    emitters = [events.inserted, events.removed, events.reordered, events.renamed]
    for emitter in emitters:
        emitter.connect(callback)

    def unfollow() -> None:
        for emitter in emitters:
            emitter.disconnect(callback)

    return unfollow


def role(name: str) -> dict[str, dict[str, str]]:
    """Layer metadata that says what a layer is for: ``mask`` or ``preview``."""
    return {KEY: {"role": name}}


def is_role(layer: Any, name: str) -> bool:
    """Whether a layer was made for that purpose."""
    return bool(layer.metadata.get(KEY, {}).get("role") == name)


def first_image(viewer: Any) -> Any:
    """Image layer to begin with: the selected one, else the first visible one, else the first."""
    images = [layer for layer in viewer.layers if isinstance(layer, Image) and not is_role(layer, "preview")]
    wanted = [viewer.layers.selection.active, *(layer for layer in images if layer.visible), *images]
    return next((layer for layer in wanted if layer in images), None)


def first_mask(viewer: Any, image: Any) -> Any:
    """Mask that was made for restoring, of the image's shape; never some segmentation."""
    masks = [layer for layer in viewer.layers if isinstance(layer, Labels) and is_role(layer, "mask")]
    shape = None if image is None else layer_pixels(image, colour=True).shape[: image.ndim]
    return next((layer for layer in masks if layer_pixels(layer).shape == shape), None)


def visible_field(layer: Any, shape: tuple[int, ...], axes: str = "yx", least: int = 64) -> dict[str, slice]:
    """Part of y and x that the canvas shows, at least 64 pixels wide where the image is.

    Parameters
    ----------
    layer : napari.layers.Image
    shape : tuple of int
        Shape of its pixels.
    axes : str
        Their axes.
    least : int
        Smallest side in pixels.
    """
    low, high = np.asarray(layer.corner_pixels)
    if getattr(layer, "multiscale", False):
        low, high = (np.asarray(layer.downsample_factors[layer.data_level]) * corner for corner in (low, high))
    cut = {}
    for letter, first, last, length in zip(axes, low, high, shape, strict=False):
        side = min(length, max(least, int(last) - int(first) + 1))
        start = min(max(0, (int(first) + int(last) + 1 - side) // 2), length - side)
        cut[letter] = slice(start, start + side)
    return {letter: cut[letter] for letter in "yx"}


class Watch:
    """Calls back when the data of certain layers change, by painting too, or what is selected.

    Parameters
    ----------
    callback : callable
    """

    def __init__(self, callback: Callable[..., None]) -> None:
        self._callback = callback
        self._layers: list[Any] = []

    def only(self, *layers: Any) -> None:
        """Watch these layers and no others; None is left out."""
        wanted = [layer for layer in layers if layer is not None]
        if wanted == self._layers:
            return
        for emitter in _data_events(self._layers):
            emitter.disconnect(self._callback)
        self._layers = wanted
        for emitter in _data_events(wanted):
            emitter.connect(self._callback)


def _data_events(layers: list[Any]) -> list[Any]:
    names = ("data", "paint", "labels_update", "highlight", "active")  # the last two: of shapes, and of the layers
    return [getattr(layer.events, name) for layer in layers for name in names if hasattr(layer.events, name)]
