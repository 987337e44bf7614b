"""OME-Zarr (NGFF 0.5): one array in a zarr v3 group, with scale, units, axes and the story of how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from .calibration import Calibration, short_unit
from .files import check_writable, is_zarr, plain_json, replacing

Array = np.ndarray[Any, Any]

ZARR_SUFFIXES = (".zarr",)
RECORD = "napari-diffprior"
CHUNK = 1024
SPACE = "zyx"
# The names that the format asks for.
_UNITS = {"um": "micrometer", "nm": "nanometer", "pm": "picometer", "mm": "millimeter", "cm": "centimeter", "m": "meter"}
_UNITS |= {"s": "second", "ms": "millisecond", "us": "microsecond", "ns": "nanosecond", "min": "minute", "h": "hour"}
_SHORT = {long: short for short, long in _UNITS.items()}


def zarr_axes(axes: str) -> str:
    """Axes in the order that the format asks for: time, one of another kind, then space.

    Raises
    ------
    ValueError
        If the format has no place for them.
    """
    order = sorted(axes, key=lambda letter: (letter != "t", letter in SPACE, SPACE.find(letter)))
    others = [letter for letter in axes if letter not in "t" + SPACE]
    if len(others) > 1:
        raise ValueError(f"the axes {axes!r} cannot be stored in an OME-Zarr: t, one other, z, y and x are possible.")
    return "".join(order)


def create_zarr(folder: Path, shape: Sequence[int], calibration: Calibration, dtype: str = "float32") -> Any:
    """Make an OME-Zarr with an empty array, to be filled chunk by chunk.

    Parameters
    ----------
    folder : Path
        It must not exist.
    shape : sequence of int
        In the order of the calibration's axes.
    calibration : Calibration
        The array is stored in the order of ``zarr_axes`` of its axes.
    dtype : str

    Returns
    -------
    zarr.Array
        A plane along y and x is a chunk, or several of 1024 pixels.
    """
    import zarr

    axes = zarr_axes(calibration.axes)
    stored = calibration.reordered(axes)
    sides = [shape[calibration.axes.index(letter)] for letter in axes]
    group = zarr.create_group(folder, zarr_format=3)
    group.attrs["ome"] = {"version": "0.5", "multiscales": [_multiscale(stored)]}
    group.attrs[RECORD] = stored.to_dict()
    chunks = [min(side, CHUNK) if letter in "yx" else 1 for letter, side in zip(axes, sides, strict=True)]
    return group.create_array("0", shape=tuple(sides), chunks=tuple(chunks), dtype=dtype, dimension_names=list(axes))


def _multiscale(place: Calibration) -> dict[str, Any]:
    axes: list[dict[str, str]] = []
    for letter, unit in zip(place.axes, place.units, strict=True):
        kind = {"t": "time", "c": "channel"}.get(letter, "space" if letter in SPACE else "")
        unit = _UNITS.get(short_unit(unit), unit)
        axes.append({"name": letter} | ({"type": kind} if kind else {}) | ({"unit": unit} if unit in _SHORT else {}))
    scale = {"type": "scale", "scale": list(place.scale)}
    translation = {"type": "translation", "translation": list(place.translate)}
    return {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [scale, translation]}]}


def set_metadata(folder: Path, metadata: Mapping[str, Any]) -> None:
    """Store what is to be said of an OME-Zarr, JSON types only."""
    import zarr

    plain_json(metadata, folder)
    group = zarr.open_group(folder, mode="r+")
    group.attrs[RECORD] = {**dict(group.attrs[RECORD]), "metadata": dict(metadata)}  # type: ignore[arg-type]


def write_zarr(path: str | Path, array: Array, calibration: Calibration, metadata: Mapping[str, Any] | None = None) -> None:
    """Write an OME-Zarr with scale, units, axes and metadata; one of that name is replaced at the very end.

    Parameters
    ----------
    path : str or Path
        The folder that holds it must exist.
    array : ndarray
        Of any order of axes; it is stored as t, another axis, z, y, x.
    calibration : Calibration
        One entry for each axis of `array`.
    metadata : mapping, optional
        JSON types only.

    Raises
    ------
    ValueError
        If the axes or the metadata cannot be stored; nothing is written then.
    OSError
        If it cannot be written; an older one of that name stays as it was.
    """
    path, axes = Path(path), zarr_axes(calibration.axes)
    if array.ndim != len(axes) or array.size == 0:
        raise ValueError(f"the axes {calibration.axes!r} do not fit an array of shape {array.shape}.")
    plain_json(metadata, path)
    check_writable(path)
    ordered = np.transpose(array, [calibration.axes.index(letter) for letter in axes])
    with replacing(path) as temporary:
        stored = create_zarr(temporary, array.shape, calibration, array.dtype.name)
        for index in product(*(range(side) for side in ordered.shape[:-2])):
            stored[index] = ordered[index]
        set_metadata(temporary, metadata or {})


def open_zarr(path: Path) -> tuple[Any, Calibration, dict[str, Any]]:
    """Array of an OME-Zarr (finest level) or of a plain zarr array, its calibration, and what `write_zarr` was given."""
    import zarr

    if not is_zarr(path):
        raise ValueError("it is a folder, but no zarr")
    node: Any = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        return node, Calibration.pixels(node.ndim), {}
    attributes = dict(node.attrs)
    record = attributes.get(RECORD) or {}
    ome = attributes.get("ome") or attributes
    if not ome.get("multiscales"):
        raise ValueError("it is a zarr group without an image")
    multiscale = ome["multiscales"][0]
    array = node[multiscale["datasets"][0]["path"]]
    place = Calibration.from_dict(record) if "scale" in record else _foreign(multiscale, array.ndim)
    return array, place, dict(record.get("metadata") or {})


def _foreign(multiscale: Mapping[str, Any], ndim: int) -> Calibration:
    """Calibration in the words of the format, version 0.4 or 0.5."""
    axes = [entry if isinstance(entry, dict) else {"name": entry} for entry in multiscale.get("axes", [])]
    letters = "".join(str(entry["name"])[:1].lower() for entry in axes)
    if len(set(letters)) != ndim or not set("yx") <= set(letters):
        return Calibration.pixels(ndim)
    scale, translate = [1.0] * ndim, [0.0] * ndim
    for step in (
        *multiscale["datasets"][0].get("coordinateTransformations", []),
        *multiscale.get("coordinateTransformations", []),
    ):
        if "scale" in step:
            scale = [a * b for a, b in zip(scale, step["scale"], strict=True)]
            translate = [a * b for a, b in zip(translate, step["scale"], strict=True)]
        if "translation" in step:
            translate = [a + b for a, b in zip(translate, step["translation"], strict=True)]
    units = tuple(_SHORT.get(str(entry.get("unit")), str(entry.get("unit") or "pixel")) for entry in axes)
    return Calibration(tuple(scale), units, letters, tuple(translate))


def read_attributes(path: Path) -> dict[str, Any]:
    """What `write_zarr` was given, without a look at the pixels; empty for others."""
    file = path / "zarr.json"
    found = json.loads(file.read_text()).get("attributes", {}) if file.is_file() else {}
    return dict(found.get(RECORD, {}).get("metadata") or {})
