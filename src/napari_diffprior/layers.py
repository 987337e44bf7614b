"""napari layers in and out, without importing napari: works on anything with a layer's attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .axes import guess_axes
from .restoration import Restoration, restore
from .result import QUANTILES

SPATIAL = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
Array = np.ndarray[Any, Any]
LayerData = tuple[Any, dict[str, Any], str]


def spatial(layer: Any) -> dict[str, Any]:
    """The seven spatial attributes of a layer, as keyword arguments of a new one."""
    found = {name: getattr(layer, name) for name in SPATIAL}
    found["affine"] = getattr(found["affine"], "affine_matrix", found["affine"])
    return found


def layer_pixels(layer: Any, colour: bool = False) -> Any:
    """Array of an image or labels layer, of a pyramid the finest level.

    Parameters
    ----------
    layer : napari.layers.Image or napari.layers.Labels
    colour : bool
        Take RGB layers too; their last axis is the colour.

    Raises
    ------
    ValueError
        If the layer is RGB and that is not wanted.
    """
    if getattr(layer, "rgb", False) and not colour:
        raise ValueError("the image layer is RGB: split it and take one channel.")
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def layer_axes(layer: Any) -> str:
    """Axes of a layer's array: the first letters of its axis labels where these name y and x, else from its shape."""
    shape, colour = layer_pixels(layer, colour=True).shape, getattr(layer, "rgb", False)
    axes = "".join(str(label)[:1].lower() for label in getattr(layer, "axis_labels", ())) + ("c" if colour else "")
    if axes.isalpha() and len(set(axes)) == len(axes) == len(shape) and set("yx") <= set(axes):
        return axes
    return guess_axes(shape[:-1]).replace("c", "v") + "c" if colour else guess_axes(shape)


def moved(place: dict[str, Any], first: Sequence[float], steps: Sequence[float] | None = None) -> dict[str, Any]:
    """Spatial attributes of a part of an image: translation and, if it is finer, scale differ.

    Parameters
    ----------
    place : dict
        Spatial attributes of the image.
    first : sequence of float
        Centre of the part's first pixel, in pixels of the image; colours of RGB are left out.
    steps : sequence of float, optional
        Distance of the part's pixels, in pixels of the image; 1 by default.
    """
    scale, ndim = np.asarray(place["scale"]), len(place["scale"])
    matrix = _matrix(np.asarray(place["rotate"]), np.asarray(place["shear"]), ndim)
    shift = matrix @ (scale * np.asarray(first[:ndim]))
    finer = scale if steps is None else scale * np.asarray(steps[:ndim])
    return {**place, "scale": tuple(finer), "translate": tuple(np.asarray(place["translate"]) + shift)}


def _matrix(rotate: Array, shear: Array, ndim: int) -> Array:
    """Rotation times shear; a shear is a matrix, or what lies above the diagonal of one."""
    if shear.ndim < 2:
        upper = np.eye(ndim)
        upper[np.triu_indices(ndim, 1)] = shear
        shear = upper
    return np.asarray(rotate @ shear)


def result_layers(layer: Any, result: Restoration, samples: bool = False, quantiles: bool = False) -> list[LayerData]:
    """Layers of a result, in the place of their input: restored, std (hidden), and on request quantiles and samples.

    Parameters
    ----------
    layer : napari.layers.Image
        Input layer; it is not changed.
    result : Restoration
        Of the layer's array or of a region of it, which then lies in its place.
    samples : bool
        Also return the samples, with a leading axis ``sample``.
    quantiles : bool
        Also return the 5 % and 95 % quantiles.
    """
    place = moved(spatial(layer), *result.place)
    colour = getattr(layer, "rgb", False)
    common = {**place, "metadata": {"napari-diffprior": result.provenance}}
    look = {"colormap": getattr(layer.colormap, "name", "gray"), "contrast_limits": tuple(layer.contrast_limits)}
    look = {"rgb": True} if colour else look
    doubt = {"uncertainty": f"not calibrated: {result.reason}" if result.reason else "calibrated"}
    unsure = {**common, "metadata": {**common["metadata"], **doubt}, "visible": False}

    def shown(pixels: Array) -> Array:
        return _as_seen(pixels, layer_pixels(layer, colour=True).dtype) if colour else pixels

    layers: list[LayerData] = [(shown(result.mean), {**common, **look, "name": f"{layer.name} restored"}, "image")]
    if result.recipe.samples > 1:
        deviation = np.sqrt(np.square(result.std).mean(-1)) if colour else result.std
        layers.append((deviation, {**unsure, "name": f"{layer.name} std", "colormap": "magma"}, "image"))
    for kind, level in QUANTILES.items() if quantiles else ():
        layers.append((shown(result.image(kind)), {**unsure, **look, "name": f"{layer.name} {100 * level:.0f} %"}, "image"))
    if samples:
        name = {"name": f"{layer.name} samples", "visible": False}
        layers.append((shown(result.samples), {**common, **_leading_axis(place), **look, **name}, "image"))
    return layers


def _as_seen(pixels: Array, like: Any) -> Array:
    """Colours as numbers of the kind that their image has: others would be shown in another range."""
    kind = np.dtype(like)
    if kind.kind not in "ui":
        return pixels
    limits = np.iinfo(kind)
    return np.clip(np.rint(pixels), limits.min, limits.max).astype(kind)


def plane_region(layer: Any, point: Sequence[float]) -> dict[str, tuple[int, int]]:
    """Region that holds the current plane only: one index of every axis but y and x.

    Parameters
    ----------
    layer : napari.layers.Image
    point : sequence of float
        World coordinates, as ``viewer.dims.point`` gives them.

    Raises
    ------
    ValueError
        If the layer has no plane there.
    """
    axes, shape = layer_axes(layer), layer_pixels(layer, colour=True).shape
    at = np.rint(np.asarray(layer.world_to_data(np.asarray(point)[-layer.ndim :]))).astype(int)
    region = {}
    for letter, index, length in zip(axes, at, shape, strict=False):  # without the colours of RGB
        if letter in "yx":
            continue
        if not 0 <= index < length:
            raise ValueError(f"{layer.name} has no plane at {letter} = {index}: move the slider into it.")
        region[letter] = (int(index), int(index) + 1)
    return region


def shape_region(layer: Any, shapes: Any, axes: str | None = None) -> dict[str, tuple[int, int]]:
    """Region along y and x within a rectangle of a shapes layer: the selected shape, else the last one.

    Parameters
    ----------
    layer : napari.layers.Image
    shapes : napari.layers.Shapes
        A shape that is no rectangle counts as the one around it.
    axes : str, optional
        Axes of the layer's array; by default as ``layer_axes`` says.

    Raises
    ------
    ValueError
        If there is no shape, or it lies beside the image.
    """
    if not len(shapes.data):
        raise ValueError(f"{shapes.name} is empty: draw a rectangle over the part to restore.")
    chosen = sorted(shapes.selected_data) or [len(shapes.data) - 1]
    ndim = max(layer.ndim, shapes.ndim)
    world = np.zeros((len(shapes.data[chosen[0]]), ndim))
    world[:, ndim - shapes.ndim :] = [shapes.data_to_world(corner) for corner in shapes.data[chosen[0]]]
    corners = np.array([layer.world_to_data(corner[ndim - layer.ndim :]) for corner in world])
    axes, shape = axes or layer_axes(layer), layer_pixels(layer, colour=True).shape
    region = {}
    for letter in "yx":
        axis = axes.index(letter)
        start, stop = np.rint([corners[:, axis].min(), corners[:, axis].max()]).astype(int)
        region[letter] = (max(0, int(start)), min(shape[axis], int(stop) + 1))
        if region[letter][0] >= region[letter][1]:
            raise ValueError(f"the rectangle of {shapes.name} lies beside {layer.name}: draw it over the image.")
    return region


def _leading_axis(place: dict[str, Any]) -> dict[str, Any]:
    """Spatial attributes with a neutral leading axis named ``sample``."""
    affine, rotate, ndim = np.asarray(place["affine"]), np.asarray(place["rotate"]), len(place["scale"])
    wider = np.eye(ndim + 2)
    wider[1:, 1:] = affine
    turned = np.eye(ndim + 1)
    turned[1:, 1:] = rotate
    shear = np.eye(ndim + 1)
    shear[1:, 1:] = _matrix(np.eye(ndim), np.asarray(place["shear"]), ndim)
    return {
        "scale": (1, *place["scale"]),
        "translate": (0, *place["translate"]),
        "rotate": turned,
        "shear": shear[np.triu_indices(ndim + 1, 1)],
        "affine": wider,
        "units": ("pixel", *place["units"]),
        "axis_labels": ("sample", *place["axis_labels"]),
    }


def restore_layer(image_layer: Any, mask_layer: Any = None, *, quantiles: bool = False, **settings: Any) -> list[LayerData]:
    """Restore an image layer and return the result as layer data tuples: restored, std, and what else is asked for.

    Parameters
    ----------
    image_layer : napari.layers.Image
        Of any axes, pyramid or RGB; it is not changed. Its axis labels name its axes.
    mask_layer : napari.layers.Labels, optional
        Painted = missing; of the image's shape, or one plane for all; of a pyramid the finest level is taken.
    quantiles : bool
        Also return the 5 % and 95 % quantiles.
    **settings
        As for ``restore``; with ``keep_samples=True`` the samples are a layer, too.
        ``region=plane_region(layer, viewer.dims.point)`` restores the current plane only, and
        ``region=shape_region(layer, shapes)`` a rectangle.

    Raises
    ------
    ValueError
        If the input or the settings cannot be used.
    """
    if quantiles and settings.get("samples") == 1:
        raise ValueError("quantiles need two samples or more: set samples = 16, for example.")
    mask = None if mask_layer is None else layer_pixels(mask_layer)
    settings = {"axes": layer_axes(image_layer), "quantiles": quantiles, **settings}
    result = restore(layer_pixels(image_layer, colour=True), mask, **settings)
    return result_layers(image_layer, result, bool(result.recipe.keep_samples), quantiles)
