"""Any image file: read whole or in parts, and written by its ending."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .calibration import Calibration
from .files import check_writable
from .tiff import TIFF_SUFFIXES, open_tiff, tiff_axes, tiff_metadata, write_tiff
from .zarr import ZARR_SUFFIXES, open_zarr, read_attributes, write_zarr, zarr_axes

Array = np.ndarray[Any, Any]

OUTPUT_SUFFIXES = (*TIFF_SUFFIXES, *ZARR_SUFFIXES)


def open_image(path: str | Path) -> tuple[Any, Calibration, dict[str, Any]]:
    """Open an image file without reading its pixels, where its format allows that.

    Parameters
    ----------
    path : str or Path
        TIFF, OME-TIFF, ImageJ TIFF, OME-Zarr, zarr, PNG, WebP, JPEG, or NPY.

    Returns
    -------
    array : array_like
        With ``shape`` and ``dtype``; an index of integers and slices reads that part.
    calibration : Calibration
        From the file where it says so, else pixels.
    metadata : dict
        What was given to `write_image`; empty for the files of other programs.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no image that can be read.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}.")
    try:
        if path.is_dir():
            return open_zarr(path)
        if path.suffix.lower() in TIFF_SUFFIXES:
            return open_tiff(path)
        array = _read_plain(path)
    except (OSError, ValueError, IndexError, KeyError, SyntaxError, EOFError, struct.error) as error:
        raise ValueError(f"{path} cannot be read as an image: {' '.join(str(error).split())}") from error
    colour = array.ndim == 3 and array.shape[-1] in (3, 4) and path.suffix.lower() != ".npy"
    return array, Calibration.pixels(array.ndim, "yxc" if colour else ""), {}


def read_image(path: str | Path) -> tuple[Array, Calibration, dict[str, Any]]:
    """Read an image file whole; see `open_image` for what it takes, returns and raises."""
    array, calibration, metadata = open_image(path)
    try:
        return np.asarray(array), calibration, metadata
    except (OSError, ValueError, IndexError, KeyError, EOFError, struct.error) as error:
        raise ValueError(f"{path} cannot be read as an image: {' '.join(str(error).split())}") from error


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Metadata of an output of `write_image`, without reading its pixels; empty for other files."""
    path = Path(path)
    if path.is_dir():
        return read_attributes(path)
    return tiff_metadata(path) if path.suffix.lower() in TIFF_SUFFIXES else {}


def write_image(path: str | Path, array: Array, calibration: Calibration, metadata: Mapping[str, Any] | None = None) -> None:
    """Write an OME-TIFF or an OME-Zarr, as the ending says; see `write_tiff` and `write_zarr`."""
    write = write_zarr if Path(path).suffix.lower() in ZARR_SUFFIXES else write_tiff
    write(path, array, calibration, metadata)


def check_output(path: str | Path, shape: Sequence[int], calibration: Calibration) -> None:
    """Make sure, before any work, that an image of float32 can be written.

    Raises
    ------
    ValueError
        If the ending or the axes are not possible.
    OSError
        If the place cannot be written to.
    """
    check_writable(path, OUTPUT_SUFFIXES)
    if Path(path).suffix.lower() in ZARR_SUFFIXES:
        zarr_axes(calibration.axes)
    else:
        tiff_axes(shape, np.dtype(np.float32), calibration)


def _read_plain(path: Path) -> Array:
    if path.suffix.lower() == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    from skimage.io import imread

    return np.asarray(imread(path))
