"""TIFF, OME-TIFF and ImageJ TIFF."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from .calibration import LENGTHS, TIMES, Calibration, short_unit
from .files import check_writable, plain_json, replacing

if TYPE_CHECKING:
    from tifffile import TiffFile

Array = np.ndarray[Any, Any]

TIFF_SUFFIXES = (".tif", ".tiff")
RECORD = "napari-diffprior"
DTYPES = ("uint8", "uint16", "float32", "float64")


def write_tiff(path: str | Path, array: Array, calibration: Calibration, metadata: Mapping[str, Any] | None = None) -> None:
    """Write an OME-TIFF with scale, units, axes and metadata; a file of that name is replaced at the very end.

    Parameters
    ----------
    path : str or Path
        The folder must exist.
    array : ndarray, 2 to 5 axes
        uint8, uint16, float32 or float64; "y" and "x" last, or "y", "x" and a colour axis "c" of 3 or 4.
    calibration : Calibration
        One entry for each axis of `array`.
    metadata : mapping, optional
        JSON types only. The plugin keeps what it has to say under the key "napari-diffprior".

    Raises
    ------
    ValueError
        If the array, its axes or the metadata cannot be stored; nothing is written then.
    OSError
        If the file cannot be written; an older file of that name stays as it was.
    """
    from tifffile import imwrite

    path = Path(path)
    array = np.asarray(array)
    axes = tiff_axes(array.shape, array.dtype, calibration)
    record = {"format": 1, "shape": array.shape, "dtype": array.dtype.name, "metadata": dict(metadata or {})}
    text = plain_json({**record, **calibration.to_dict()}, path)
    ome = {"axes": axes, "MapAnnotation": {"Namespace": RECORD, RECORD: text}, **_ome_sizes(calibration)}
    check_writable(path)
    with replacing(path) as temporary:
        photometric = "rgb" if axes.endswith("S") else "minisblack"
        imwrite(temporary, array, ome=True, photometric=photometric, metadata=ome, **_resolution(calibration))


def open_tiff(path: Path) -> tuple[TiffPlanes, Calibration, dict[str, Any]]:
    """Array of a TIFF that is read in parts, its calibration, and what `write_tiff` was given."""
    from tifffile import TiffFile

    with TiffFile(path) as tif:
        series = tif.series[0]
        shape, dtype, letters, record = series.shape, np.dtype(series.dtype), series.axes.lower(), _record(tif)
        steps = _foreign_steps(tif)
    if record and math.prod(record["shape"]) == math.prod(shape):
        return TiffPlanes(path, tuple(record["shape"]), dtype), Calibration.from_dict(record), dict(record["metadata"])
    if letters.endswith("s"):
        letters = letters.replace("c", "v")[:-1] + "c"
    array = TiffPlanes(path, shape, dtype)
    if len(set(letters)) != len(shape):
        return array, Calibration.pixels(len(shape)), {}
    found = [steps.get(letter, (1.0, "pixel")) for letter in letters]
    return array, Calibration(tuple(step for step, _ in found), tuple(unit for _, unit in found), letters), {}


@dataclass(frozen=True)
class TiffPlanes:
    """Pixels of a TIFF, read when they are asked for; small enough to be sent to another process.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        Of the array; axes of length 1 may be missing in the file.
    dtype : numpy.dtype
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: tuple[int | slice, ...]) -> Array:
        """Part of the array; the index has an integer or a slice for each axis."""
        import zarr
        from tifffile import TiffFile

        expected = np.broadcast_to(np.uint8(0), self.shape)[index].shape
        long = (part for part, side in zip(index, self.shape, strict=True) if side > 1)
        with TiffFile(self.path) as tif, tif.series[0].aszarr(level=0) as store:
            stored: Any = zarr.open(store, mode="r")
            part = np.asarray(stored[tuple(next(long) if side > 1 else 0 for side in stored.shape)])
        return part.reshape(expected)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """All pixels."""
        from tifffile import TiffFile

        with TiffFile(self.path) as tif:
            return np.asarray(tif.series[0].asarray().reshape(self.shape), dtype)


def tiff_metadata(path: Path) -> dict[str, Any]:
    """What `write_tiff` was given, without reading the pixels."""
    from tifffile import TiffFile

    with TiffFile(path) as tif:
        record = _record(tif)
    return dict(record["metadata"]) if record else {}


def _record(tif: TiffFile) -> dict[str, Any] | None:
    """What `write_tiff` put into the OME-XML, or None."""
    if not tif.ome_metadata:
        return None
    for entry in ElementTree.fromstring(tif.ome_metadata).iter():
        if entry.tag.endswith("}M") and entry.get("K") == RECORD and entry.text:
            found: dict[str, Any] = json.loads(entry.text)
            return found
    return None


def _foreign_steps(tif: TiffFile) -> dict[str, tuple[float, str]]:
    """Step and unit by axis letter, from the metadata of OME or ImageJ."""
    steps: dict[str, tuple[float, str]] = {}
    if tif.ome_metadata:
        pixels = next((e for e in ElementTree.fromstring(tif.ome_metadata).iter() if e.tag.endswith("}Pixels")), None)
        for letter in "XYZ" if pixels is not None else "":
            assert pixels is not None
            size = pixels.get(f"PhysicalSize{letter}")
            if size:
                steps[letter.lower()] = (float(size), short_unit(pixels.get(f"PhysicalSize{letter}Unit", "µm")))
        if pixels is not None and pixels.get("TimeIncrement"):
            steps["t"] = (float(pixels.get("TimeIncrement", "")), pixels.get("TimeIncrementUnit", "s"))
    elif tif.imagej_metadata:
        unit = short_unit(str(tif.imagej_metadata.get("unit", "")))
        for letter, name in (("x", "XResolution"), ("y", "YResolution")):
            tag = tif.pages.first.tags.get(name)
            if tag is not None and tag.value[0]:
                steps[letter] = (tag.value[1] / tag.value[0], unit)
        if "spacing" in tif.imagej_metadata:
            steps["z"] = (float(tif.imagej_metadata["spacing"]), unit)
    return {letter: step for letter, step in steps.items() if math.isfinite(step[0]) and step[0] > 0}


def tiff_axes(shape: Sequence[int], dtype: np.dtype[Any], calibration: Calibration) -> str:
    """Axes in the letters of OME: leading axes that it has no letter for take a free one of T, Z and C."""
    axes = calibration.axes
    if dtype.name not in DTYPES:
        raise ValueError(f"a TIFF of {dtype} is not written: convert it to one of {', '.join(DTYPES)}.")
    if len(axes) != len(shape) or math.prod(shape) == 0:
        raise ValueError(f"the axes {axes!r} do not fit an array of shape {tuple(shape)}.")
    colour = axes.endswith("yxc") and shape[-1] in (3, 4)
    leading = axes[: -3 if colour else -2]
    if not (colour or axes.endswith("yx")) or len(leading) > 3 - colour:
        raise ValueError(f"the axes {axes!r} cannot be stored: at most three axes and then y and x, or y, x and colour.")
    free = [letter for letter in ("TZ" if colour else "TZC") if letter.lower() not in leading]
    return "".join(letter.upper() if letter in "tzc" else free.pop(0) for letter in leading) + ("YXS" if colour else "YX")


def _ome_sizes(calibration: Calibration) -> dict[str, Any]:
    sizes: dict[str, Any] = {}
    for letter, step, unit in zip(calibration.axes, calibration.scale, calibration.units, strict=True):
        if letter in "xyz" and short_unit(unit) in LENGTHS:
            sizes |= {f"PhysicalSize{letter.upper()}": step, f"PhysicalSize{letter.upper()}Unit": LENGTHS[short_unit(unit)][0]}
        if letter == "t" and unit in TIMES:
            sizes |= {"TimeIncrement": step, "TimeIncrementUnit": unit}
    return sizes


def _resolution(calibration: Calibration) -> dict[str, Any]:
    """Pixels per centimetre, for programs that do not read OME-XML."""
    steps = dict(zip(calibration.axes, zip(calibration.scale, calibration.units, strict=True), strict=True))
    density = [0.01 / (steps[a][0] * LENGTHS[short_unit(steps[a][1])][1]) for a in "xy" if short_unit(steps[a][1]) in LENGTHS]
    if len(density) < 2 or not all(1e-3 < value < 1e9 for value in density):
        return {}
    return {"resolution": tuple(density), "resolutionunit": "CENTIMETER"}
