"""Images in and out of files, with pixel size, units, axes and the story of how they were made."""

from .calibration import Calibration, voxels
from .files import check_writable, file_hash, is_zarr, move_into_place, replacing, with_addition
from .image import OUTPUT_SUFFIXES, check_output, open_image, read_image, read_metadata, write_image
from .tiff import DTYPES, TIFF_SUFFIXES, write_tiff
from .zarr import ZARR_SUFFIXES, create_zarr, set_metadata, write_zarr, zarr_axes

__all__ = [
    "DTYPES",
    "OUTPUT_SUFFIXES",
    "TIFF_SUFFIXES",
    "ZARR_SUFFIXES",
    "Calibration",
    "check_output",
    "check_writable",
    "create_zarr",
    "file_hash",
    "is_zarr",
    "move_into_place",
    "open_image",
    "read_image",
    "read_metadata",
    "replacing",
    "set_metadata",
    "voxels",
    "with_addition",
    "write_image",
    "write_tiff",
    "write_zarr",
    "zarr_axes",
]
