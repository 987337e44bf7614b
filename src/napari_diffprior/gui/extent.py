"""Rows for the axes of an image, and which part of it is restored."""

from typing import Any

from magicgui.widgets import ComboBox, LineEdit
from napari.layers import Shapes

from ..axes import Layout, guess_axes
from ..layers import layer_axes, layer_pixels, shape_region
from ..recipe import Recipe
from .layer_choice import visible_field

WHOLE, FIELD, PLANE, RECTANGLE, GIVEN = "Whole image", "Visible field", "Current plane", "Rectangle", "As loaded"
Region = dict[str, tuple[int, int]]


class Extent:
    """Rows "Axes" and "Region".

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    fields = frozenset({"axes", "region"})  # of the recipe

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._given: Region | None = None
        self._shape: tuple[int, ...] = ()
        self._stack = False
        self.axes = LineEdit(name="axes", label="Axes")
        self.axes.tooltip = "A letter for each axis, such as tczyx; y and x are restored together, all others one by one."
        self.region = ComboBox(choices=[WHOLE, FIELD], name="region", label="Region")
        self.region.tooltip = "What is restored: everything, what the canvas shows, its plane, or a rectangle of a shapes layer."

    def follow(self, layer: Any) -> None:
        """Guess the axes of another image."""
        if layer is not None:
            self._shape = _shape(layer)
            self.axes.value = layer_axes(layer)
            self._stack = layer.ndim > 2  # the colours of RGB are no axis of the viewer
            self.axes.visible = self._stack
            self.offer()

    def offer(self) -> None:
        """Offer the regions that there are; what was chosen stays, if it can."""
        chosen, there = self.region.value, {PLANE: self._stack, RECTANGLE: self.shapes() is not None, GIVEN: bool(self._given)}
        self.region.choices = [WHOLE, FIELD, *(choice for choice, possible in there.items() if possible)]
        self.region.value = chosen if chosen in self.region.choices else WHOLE

    def shapes(self) -> Any:
        """Shapes layer that holds the rectangle: the selected one, else the topmost one; None without any."""
        active = self._viewer.layers.selection.active
        layers = (layer for layer in (active, *reversed(self._viewer.layers)) if isinstance(layer, Shapes))
        return next(layers, None)

    def watched(self) -> tuple[Any, ...]:
        """What else the choice depends on: the shapes, and which layer is selected."""
        return (self.shapes(), self._viewer.layers.selection) if self.region.value == RECTANGLE else ()

    def fill(self, recipe: Recipe, layer: Any) -> None:
        """Show axes and region of a recipe."""
        self._given = recipe.region
        self.follow(layer)
        if recipe.axes is not None:
            self.axes.value = recipe.axes
        self.region.value = GIVEN if recipe.region else WHOLE

    def settings(self, layer: Any, region: str | None = None, core: str = "yx") -> dict[str, Any]:
        """Recipe settings; axes that a script would guess too are left to it.

        Parameters
        ----------
        layer : napari.layers.Image, optional
        region : str, optional
            Another choice than that of the row.
        core : str
            Axes that are restored together, of which a region takes all but y and x whole.

        Raises
        ------
        ValueError
            If the axes do not fit the image.
        """
        if layer is None:
            return {"axes": None, "region": None}
        shape = _shape(layer)
        if shape != self._shape:
            self.follow(layer)
        text = self.axes.value.strip().lower()
        if not set("yx") <= set((text or guess_axes(shape))[: layer.ndim]):
            raise ValueError(f"the axes {text!r} do not fit an RGB image: its colours, c, lie last.")
        axes = None if text in ("", guess_axes(shape)) else text
        return {
            "axes": axes,
            "region": self._region(layer, Layout(text or guess_axes(shape), shape, core=core), region or self.region.value),
        }

    def _region(self, layer: Any, layout: Layout, choice: str) -> Region | None:
        if choice == GIVEN:
            return self._given
        if choice == WHOLE:
            return None
        if choice == RECTANGLE:
            return shape_region(layer, self.shapes(), layout.axes)
        sliders = layout.axes[: layer.ndim]  # which the colours of RGB have none of
        now = self.position(layer, layout)
        region = {letter: (index, index + 1) for letter, index in now.items() if letter in sliders}
        if choice == FIELD:
            fields = visible_field(layer, layout.shape, layout.axes)
            region |= {letter: (part.start, part.stop) for letter, part in fields.items()}
        return region

    def position(self, layer: Any, layout: Layout) -> dict[str, int]:
        """Index along each leading axis of the plane that the canvas shows."""
        point = layer.world_to_data(self._viewer.dims.point[-layer.ndim :])
        sides = dict(zip(layout.axes, layout.shape, strict=True))
        at = dict(zip(layout.axes, (*point, *(0,) * len(layout.axes)), strict=False))
        return {letter: min(max(0, round(float(at[letter]))), sides[letter] - 1) for letter in layout.leading}


def _shape(layer: Any) -> tuple[int, ...]:
    return tuple(int(side) for side in layer_pixels(layer, colour=True).shape)
