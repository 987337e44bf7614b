"""Reader and writer: files of the plugin keep scale, units, axes, look and recipe, and open again as they were."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..axes import guess_axes
from ..io import Calibration, open_image, write_image
from ..layers import SPATIAL

LayerData = tuple[Any, dict[str, Any], str]
PLACE = "napari"  # key of the metadata that holds a layer's place and look
LOOK = ("name", "contrast_limits", "opacity", "gamma", "blending")


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Reader of TIFF, OME-TIFF, ImageJ TIFF and OME-Zarr files; None for what it cannot read.

    Parameters
    ----------
    path : str or sequence of str
    """
    paths = [path] if isinstance(path, str) else list(path)
    kinds = (".tif", ".tiff", ".zarr")
    return read_files if all(Path(one).suffix.lower() in kinds for one in paths) else None


def read_files(path: str | Sequence[str]) -> list[LayerData]:
    """One layer for each file; a zarr is read as it is looked at."""
    return [_read(Path(one)) for one in ([path] if isinstance(path, str) else path)]


def _read(path: Path) -> LayerData:
    array, calibration, metadata = open_image(path)
    data = np.asarray(array) if path.suffix.lower() != ".zarr" else array
    own = {name: value for name, value in metadata.items() if name != PLACE}
    stored = dict(metadata.get(PLACE) or {})
    kind = stored.pop("kind", "image")
    settings = stored if stored else _place(calibration, data)
    if kind == "labels":
        return np.asarray(data).astype(np.int32), {"name": path.stem, **settings, "metadata": own}, kind
    return data, {"name": path.stem, "rgb": _is_colour(calibration, data), **settings, "metadata": own}, kind


def _is_colour(calibration: Calibration, data: Any) -> bool:
    return calibration.axes.endswith("c") and data.shape[-1] in (3, 4)


def _place(calibration: Calibration, data: Any) -> dict[str, Any]:
    """Spatial attributes of a file of another program."""
    last = -1 if _is_colour(calibration, data) else None
    return {
        "scale": calibration.scale[:last],
        "translate": calibration.translate[:last],
        "units": calibration.units[:last],
        "axis_labels": tuple(calibration.axes)[:last],
    }


def write_layer(path: str, data: Any, settings: dict[str, Any]) -> list[str]:
    """Write an image layer as OME-TIFF or OME-Zarr, by the ending of the name.

    Parameters
    ----------
    path : str
    data : array_like
    settings : dict
        Attributes of the layer.

    Raises
    ------
    OSError
        If it cannot be stored; one sentence says what to do, and nothing is half-written.
    """
    return _write(path, data, settings, "image")


def write_labels(path: str, data: Any, settings: dict[str, Any]) -> list[str]:
    """Write a labels layer, for example a mask; as `write_layer`."""
    pixels = np.asarray(data)
    return _write(path, pixels.astype(np.uint8 if pixels.max(initial=0) < 256 else np.uint16), settings, "labels")


def _write(path: str, data: Any, settings: dict[str, Any], kind: str) -> list[str]:
    finest = data[0] if isinstance(data, list | tuple) or type(data).__name__ == "MultiScaleData" else data
    pixels = np.asarray(finest)
    place = {name: _plain(settings[name]) for name in (*SPATIAL, *LOOK) if settings.get(name) is not None}
    if kind == "image" and isinstance(settings.get("colormap"), dict):
        place["colormap"] = settings["colormap"].get("name", "gray")
    metadata = {**_json_only(settings.get("metadata") or {}), PLACE: {**place, "kind": kind}}
    try:
        write_image(path, pixels, calibration_of(settings, pixels.shape, bool(settings.get("rgb"))), metadata)
    except ValueError as error:  # which napari takes for a writer that does not exist
        raise OSError(str(error)) from error
    return [path]


def calibration_of(settings: dict[str, Any], shape: Sequence[int], colour: bool = False) -> Calibration:
    """What of a layer's place other programs understand: step, unit and letter of each axis.

    Parameters
    ----------
    settings : dict
        Attributes of the layer.
    shape : sequence of int
        Of its pixels.
    colour : bool
        Whether the last axis is colour, which the attributes leave out.
    """
    guess = guess_axes(shape)[-len(shape) :]
    letters = ""
    for label, other in zip([*settings["axis_labels"], *(["c"] if colour else [])], guess, strict=True):
        first = str(label)[:1].lower()
        letters += first if first.isalpha() and first not in letters else other
    letters = letters if len(set(letters)) == len(letters) and set("yx") <= set(letters) else guess
    scale = [abs(float(step)) or 1.0 for step in settings["scale"]]
    extra = [1.0] if colour else []
    units = tuple(_unit(str(unit)) for unit in settings["units"]) + ("pixel",) * colour
    translate = tuple(float(t) for t in settings["translate"]) + (0.0,) * colour
    return Calibration((*scale, *extra), units, letters, translate)


def _unit(name: str) -> str:
    """Short name, as it is stored."""
    return {"micrometer": "um", "nanometer": "nm", "millimeter": "mm", "second": "s"}.get(name, name)


def _plain(value: Any) -> Any:
    """A value as JSON types."""
    if isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Sequence):
        return [_plain(one) for one in value]
    return str(value)


def _json_only(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata of a layer without what is not JSON."""
    import json

    kept = {}
    for name, value in metadata.items():
        try:
            kept[str(name)] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError):
            continue
    return kept
