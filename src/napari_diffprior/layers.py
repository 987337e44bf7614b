"""napari layers in and out, without importing napari: works on anything with a layer's attributes."""

from __future__ import annotations

from typing import Any

from .restoration import Restoration, restore

SPATIAL = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
LayerData = tuple[Any, dict[str, Any], str]


def spatial(layer: Any) -> dict[str, Any]:
    """The seven spatial attributes of a layer, as keyword arguments of a new one."""
    found = {name: getattr(layer, name) for name in SPATIAL}
    found["affine"] = getattr(found["affine"], "affine_matrix", found["affine"])
    return found


def layer_pixels(layer: Any) -> Any:
    """Array of an image layer, of a pyramid the finest level.

    Raises
    ------
    ValueError
        If the layer is RGB.
    """
    if getattr(layer, "rgb", False):
        raise ValueError("the image layer is RGB: split it and restore one channel.")
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def result_layers(layer: Any, result: Restoration, samples: bool = False) -> list[LayerData]:
    """Layers of a result, in the place of their input: restored, std (hidden), and on request all samples.

    Parameters
    ----------
    layer : napari.layers.Image
        Input layer; it is not changed.
    result : Restoration
    samples : bool
        Also return the samples, with a leading axis ``sample``.
    """
    place = spatial(layer)
    metadata = {"napari-diffprior": result.provenance}
    common = {**place, "metadata": metadata}
    look = {"colormap": getattr(layer.colormap, "name", "gray"), "contrast_limits": tuple(layer.contrast_limits)}
    layers: list[LayerData] = [(result.mean, {**common, **look, "name": f"{layer.name} restored"}, "image")]
    if result.recipe.samples > 1:
        uncertainty = {"name": f"{layer.name} std", "colormap": "magma", "visible": False}
        layers.append((result.std, {**common, **uncertainty}, "image"))
    if samples:
        stacked = {**_leading_axis(place), "metadata": metadata, **look, "name": f"{layer.name} samples", "visible": False}
        layers.append((result.samples, stacked, "image"))
    return layers


def _leading_axis(place: dict[str, Any]) -> dict[str, Any]:
    """Spatial attributes with a neutral leading axis named ``sample``."""
    import numpy as np

    affine, rotate, ndim = np.asarray(place["affine"]), np.asarray(place["rotate"]), len(place["scale"])
    wider = np.eye(ndim + 2)
    wider[1:, 1:] = affine
    turned = np.eye(ndim + 1)
    turned[1:, 1:] = rotate
    shear = np.eye(ndim + 1)
    shear[1:, 1:][np.triu_indices(ndim, 1)] = np.asarray(place["shear"]).ravel()[: ndim * (ndim - 1) // 2]
    return {
        "scale": (1, *place["scale"]),
        "translate": (0, *place["translate"]),
        "rotate": turned,
        "shear": shear[np.triu_indices(ndim + 1, 1)],
        "affine": wider,
        "units": ("pixel", *place["units"]),
        "axis_labels": ("sample", *place["axis_labels"]),
    }


def restore_layer(image_layer: Any, mask_layer: Any = None, **settings: Any) -> list[LayerData]:
    """Restore an image layer and return the result as layer data tuples.

    Parameters
    ----------
    image_layer : napari.layers.Image
        2-D grey; it is not changed.
    mask_layer : napari.layers.Labels, optional
        Painted = missing.
    **settings
        As for ``restore``.

    Raises
    ------
    ValueError
        If the input or the settings cannot be used.
    """
    result = restore(layer_pixels(image_layer), None if mask_layer is None else mask_layer.data, **settings)
    return result_layers(image_layer, result)
