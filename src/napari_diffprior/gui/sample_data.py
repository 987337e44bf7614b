"""Sample data for File > Open Sample, and the command that adds a mask."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .layer_choice import first_image, role

if TYPE_CHECKING:
    import napari.viewer

LayerData = tuple[Any, dict[str, Any], str]


def bpae_sample() -> list[LayerData]:
    """BPAE cells with scratches and dead pixels; the pixel size is not recorded, so that the scale stays 1."""
    from ..samples import bpae

    return _layers("BPAE", *bpae(), {})


def synthetic_sample() -> list[LayerData]:
    """Computed cells with gaps, with a pixel size, units and axis labels."""
    from ..samples import SYNTHETIC_SCALE, SYNTHETIC_UNITS, synthetic

    place = {"scale": SYNTHETIC_SCALE, "units": SYNTHETIC_UNITS, "axis_labels": ("y", "x")}
    return _layers("Synthetic cells", *synthetic(), place)


def _layers(name: str, image: Any, mask: Any, reference: Any, place: dict[str, Any]) -> list[LayerData]:
    limits = (float(reference.min()), float(np.percentile(reference, 99.8)))
    look = {**place, "contrast_limits": limits}
    return [
        (image, {**look, "name": name}, "image"),
        (reference, {**look, "name": f"{name} reference", "visible": False}, "image"),
        (np.asarray(mask).astype(np.uint8), {**place, "name": f"{name} mask", "metadata": role("mask")}, "labels"),
    ]


def add_mask(viewer: Any, image: Any) -> Any:
    """Add an empty labels layer in the place of an image layer, ready to be painted, and return it.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    image : napari.layers.Image
    """
    from ..layers import layer_pixels, spatial

    empty = np.zeros(layer_pixels(image, colour=True).shape[: image.ndim], np.uint8)
    layer = viewer.add_labels(empty, name=f"{image.name} mask", metadata=role("mask"), **spatial(image))
    layer.mode = "paint"
    return layer


def new_mask(viewer: "napari.viewer.Viewer") -> None:
    """Add an empty mask over the selected image layer, else over the first one."""
    from napari.utils.notifications import show_info

    image = first_image(viewer)
    if image is None:
        show_info("Open an image first: the mask takes its shape and place.")
    else:
        add_mask(viewer, image)
