"""The command "Reuse settings of selected layer"."""

from typing import TYPE_CHECKING, Any

from ..params import from_dict
from ..recipe import Recipe
from .layer_choice import KEY

if TYPE_CHECKING:
    import napari.viewer


def recipe_of(layer: Any) -> Recipe | None:
    """Recipe that made a layer; None if it carries none."""
    settings = {} if layer is None else layer.metadata.get(KEY, {}).get("recipe")
    return from_dict(Recipe, settings) if settings else None


def reuse_settings(viewer: "napari.viewer.Viewer") -> None:
    """Show the settings that made the selected layer in Restore image."""
    from napari.utils.notifications import show_info

    layer = viewer.layers.selection.active
    recipe = recipe_of(layer)
    if layer is None or recipe is None:
        show_info("Select a layer that was restored: it carries its settings.")
        return
    _, widget = viewer.window.add_plugin_dock_widget(KEY, "Restore image")
    source = layer.name.removesuffix(" restored")
    widget.inputs.image.value = next(
        (one for one in widget.inputs.image.choices if one.name == source), widget.inputs.image.value
    )
    widget.show_recipe(recipe)
