"""Images in and out of files, with pixel size, units, axes and the story of how they were made."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from xml.etree import ElementTree

import numpy as np

if TYPE_CHECKING:
    from tifffile import TiffFile

Array = np.ndarray[Any, Any]

TIFF_SUFFIXES = (".tif", ".tiff")
RECORD = "napari-diffprior"
DTYPES = ("uint8", "uint16", "float32", "float64")

# Unit: (its name in OME-XML, its length in metres).
_LENGTHS = {"pm": ("pm", 1e-12), "angstrom": ("Å", 1e-10), "nm": ("nm", 1e-9), "um": ("µm", 1e-6), "mm": ("mm", 1e-3)}
_LENGTHS |= {"cm": ("cm", 1e-2), "m": ("m", 1.0)}
_OTHER_NAMES = {"µm": "um", "μm": "um", "\\u00b5m": "um", "micron": "um", "microns": "um", "micrometer": "um", "micrometre": "um"}
_OTHER_NAMES |= {"nanometer": "nm", "millimeter": "mm", "centimeter": "cm", "meter": "m", "picometer": "pm", "å": "angstrom"}
_OTHER_NAMES |= {"": "pixel", "pixels": "pixel"}


@dataclass(frozen=True)
class Calibration:
    """Where the pixels of an array lie in the world.

    Parameters
    ----------
    scale : tuple of float
        Step along each axis, in its unit; positive.
    units : tuple of str
        Unit of each axis, for example "um", "s" or "pixel".
    axes : str
        One letter for each axis, for example "yx" or "tzyx"; colour is a "c" at the end.

    Raises
    ------
    ValueError
        If the three do not have the same length, a letter repeats or a step is not positive.
    """

    scale: tuple[float, ...]
    units: tuple[str, ...]
    axes: str

    def __post_init__(self) -> None:
        if not len(self.scale) == len(self.units) == len(self.axes) == len(set(self.axes)):
            raise ValueError(f"scale {self.scale}, units {self.units} and axes {self.axes!r} do not describe the same axes.")
        if not all(math.isfinite(step) and step > 0 for step in self.scale):
            raise ValueError(f"the scale {self.scale} has a step that is not positive.")

    @classmethod
    def pixels(cls, ndim: int, axes: str = "") -> Calibration:
        """Calibration of an array of which nothing is known: steps of one pixel.

        Parameters
        ----------
        ndim : int
            Number of axes.
        axes : str
            Their letters; the last ones of "uvtczyx" by default.
        """
        return cls((1.0,) * ndim, ("pixel",) * ndim, axes or "uvtczyx"[-ndim:])


def read_image(path: str | Path) -> tuple[Array, Calibration, dict[str, Any]]:
    """Read an image file.

    Parameters
    ----------
    path : str or Path
        TIFF, OME-TIFF, ImageJ TIFF, PNG, WebP, JPEG, or NPY.

    Returns
    -------
    array : ndarray
        Pixels as they are in the file, colour last.
    calibration : Calibration
        From the file where it says so, else pixels.
    metadata : dict
        What was given to `write_tiff`; empty for the files of other programs.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no image that can be read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    try:
        if path.suffix.lower() in TIFF_SUFFIXES:
            return _read_tiff(path)
        array = _read_plain(path)
    except (OSError, ValueError, IndexError, KeyError, SyntaxError) as error:
        raise ValueError(f"{path} cannot be read as an image: {' '.join(str(error).split())}") from error
    colour = array.ndim == 3 and array.shape[-1] in (3, 4) and path.suffix.lower() != ".npy"
    return array, Calibration.pixels(array.ndim, "yxc" if colour else ""), {}


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Metadata of a TIFF that `write_tiff` wrote, without reading its pixels; empty for other files."""
    from tifffile import TiffFile

    path = Path(path)
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return {}
    with TiffFile(path) as tif:
        record = _record(tif)
    return dict(record["metadata"]) if record else {}


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
    axes = _tiff_axes(array, calibration)
    record = {"format": 1, "shape": array.shape, "dtype": array.dtype.name, "metadata": dict(metadata or {})}
    record |= {"scale": calibration.scale, "units": calibration.units, "axes": calibration.axes}
    try:
        text = json.dumps(record, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the metadata of {path} is not plain JSON: {error}.") from error
    ome = {"axes": axes, "MapAnnotation": {"Namespace": RECORD, RECORD: text}, **_ome_sizes(calibration)}
    check_writable(path)
    with replacing(path) as temporary:
        photometric = "rgb" if axes.endswith("S") else "minisblack"
        imwrite(temporary, array, ome=True, photometric=photometric, metadata=ome, **_resolution(calibration))


def check_writable(path: str | Path, suffixes: tuple[str, ...] = ()) -> None:
    """Make sure, before any work, that a file can be written.

    Parameters
    ----------
    path : str or Path
        The file; it is neither made nor changed.
    suffixes : tuple of str
        Endings that are allowed, for example `TIFF_SUFFIXES`; empty allows all.

    Raises
    ------
    ValueError
        If the name does not end as it should.
    OSError
        If the folder is missing or cannot be written to, or the path is a folder.
    """
    path = Path(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise ValueError(f"{path} must end in {' or '.join(suffixes)}.")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file that can be written.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}.")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} cannot be written: it is read-only.")
    try:
        with replacing(path, keep=False) as temporary:
            temporary.touch(exist_ok=False)
    except OSError as error:
        raise PermissionError(f"{path} cannot be written: {error.strerror or error}.") from error


@contextmanager
def replacing(path: Path, keep: bool = True) -> Iterator[Path]:
    """Yield a temporary name in the same folder; at the end it becomes `path`, on an error it is removed.

    Parameters
    ----------
    path : Path
        The name in the end.
    keep : bool
        False only tries: the temporary file is removed in any case.
    """
    temporary = path.with_name(f".{path.name[:100]}.{uuid4().hex[:8]}.part")
    try:
        yield temporary
        if keep:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_plain(path: Path) -> Array:
    if path.suffix.lower() == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    from skimage.io import imread

    return np.asarray(imread(path))


def _read_tiff(path: Path) -> tuple[Array, Calibration, dict[str, Any]]:
    from tifffile import TiffFile

    with TiffFile(path) as tif:
        series = tif.series[0]
        array, letters, record = series.asarray(), series.axes.lower(), _record(tif)
        if record and math.prod(record["shape"]) == array.size:
            calibration = Calibration(tuple(record["scale"]), tuple(record["units"]), record["axes"])
            return array.reshape(record["shape"]), calibration, dict(record["metadata"])
        if letters.endswith("s"):
            letters = letters.replace("c", "v")[:-1] + "c"
        steps = _foreign_steps(tif)
    if len(set(letters)) != array.ndim:
        return array, Calibration.pixels(array.ndim), {}
    found = [steps.get(letter, (1.0, "pixel")) for letter in letters]
    return array, Calibration(tuple(step for step, _ in found), tuple(unit for _, unit in found), letters), {}


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
                steps[letter.lower()] = (float(size), _unit(pixels.get(f"PhysicalSize{letter}Unit", "µm")))
    elif tif.imagej_metadata:
        unit = _unit(str(tif.imagej_metadata.get("unit", "")))
        for letter, name in (("x", "XResolution"), ("y", "YResolution")):
            tag = tif.pages.first.tags.get(name)
            if tag is not None and tag.value[0]:
                steps[letter] = (tag.value[1] / tag.value[0], unit)
        if "spacing" in tif.imagej_metadata:
            steps["z"] = (float(tif.imagej_metadata["spacing"]), unit)
    return {letter: step for letter, step in steps.items() if math.isfinite(step[0]) and step[0] > 0}


def _unit(name: str) -> str:
    return _OTHER_NAMES.get(name.strip().lower(), name)


def _tiff_axes(array: Array, calibration: Calibration) -> str:
    """Axes in the letters of OME: leading axes that it has no letter for take a free one of T, Z and C."""
    axes = calibration.axes
    if array.dtype.name not in DTYPES:
        raise ValueError(f"a TIFF of {array.dtype} is not written: convert it to one of {', '.join(DTYPES)}.")
    if len(axes) != array.ndim or array.size == 0:
        raise ValueError(f"the axes {axes!r} do not fit an array of shape {array.shape}.")
    colour = axes.endswith("yxc") and array.shape[-1] in (3, 4)
    leading = axes[: -3 if colour else -2]
    if not (colour or axes.endswith("yx")) or len(leading) > 3 - colour:
        raise ValueError(f"the axes {axes!r} cannot be stored: at most three axes and then y and x, or y, x and colour.")
    free = [letter for letter in ("TZ" if colour else "TZC") if letter.lower() not in leading]
    return "".join(letter.upper() if letter in "tzc" else free.pop(0) for letter in leading) + ("YXS" if colour else "YX")


def _ome_sizes(calibration: Calibration) -> dict[str, Any]:
    sizes: dict[str, Any] = {}
    for letter, step, unit in zip(calibration.axes, calibration.scale, calibration.units, strict=True):
        if letter in "xyz" and _unit(unit) in _LENGTHS:
            sizes |= {f"PhysicalSize{letter.upper()}": step, f"PhysicalSize{letter.upper()}Unit": _LENGTHS[_unit(unit)][0]}
    return sizes


def _resolution(calibration: Calibration) -> dict[str, Any]:
    """Pixels per centimetre, for programs that do not read OME-XML."""
    steps = dict(zip(calibration.axes, zip(calibration.scale, calibration.units, strict=True), strict=True))
    density = [0.01 / (steps[a][0] * _LENGTHS[_unit(steps[a][1])][1]) for a in "xy" if _unit(steps[a][1]) in _LENGTHS]
    if len(density) < 2 or not all(1e-3 < value < 1e9 for value in density):
        return {}
    return {"resolution": tuple(density), "resolutionunit": "CENTIMETER"}
