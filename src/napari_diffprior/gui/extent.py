"""Rows for the axes of an image, and which part of it is restored."""

from typing import Any

from magicgui.widgets import ComboBox, LineEdit

from ..axes import Layout, guess_axes
from ..recipe import Recipe
from .layer_choice import visible_field

WHOLE, FIELD, PLANE, GIVEN = "Whole image", "Visible field", "Current plane", "As loaded"
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
        self.axes = LineEdit(name="axes", label="Axes")
        self.axes.tooltip = "A letter for each axis, such as tczyx; y and x are restored together, all others one by one."
        self.region = ComboBox(choices=[WHOLE, FIELD], name="region", label="Region")
        self.region.tooltip = "What is restored: everything, what the canvas shows, or the plane that it shows."

    def follow(self, layer: Any) -> None:
        """Guess the axes of another image."""
        if layer is not None:
            self._shape = _shape(layer)
            self.axes.value = axes_of(layer)
            stack = len(_shape(layer)) > 2
            self.axes.visible = stack
            self._offer(stack)

    def _offer(self, stack: bool) -> None:
        chosen = self.region.value
        self.region.choices = [WHOLE, FIELD, *([PLANE] if stack else []), *([GIVEN] if self._given else [])]
        self.region.value = chosen if chosen in self.region.choices else WHOLE

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
        now = self.position(layer, layout)
        region = {letter: (index, index + 1) for letter, index in now.items()}
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
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    return tuple(int(side) for side in data.shape)


def axes_of(layer: Any) -> str:
    """Axes of a layer by its labels where they are letters, else by its shape."""
    shape = _shape(layer)
    labels = [str(label).lower() for label in layer.axis_labels]
    named = "".join(labels)
    letters = all(len(label) == 1 and label.isalpha() for label in labels) and len(set(named)) == len(shape)
    return named if letters and set("yx") <= set(named) else guess_axes(shape)
