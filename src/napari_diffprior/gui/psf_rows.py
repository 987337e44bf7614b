"""Rows for the point spread function: Gaussian, a layer or a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox
from magicgui.widgets.bases import Widget
from napari.layers import Image

from ..axes import guess_axes
from ..io import Calibration, open_image
from ..io import voxels as voxels_of
from ..recipe import Recipe
from .form import editor, fill, value_of
from .layer_choice import file_of, layer_box
from .rows import path_box, path_of

if TYPE_CHECKING:
    from ..psf import PSF

GAUSSIAN, MEASURED, FILE = "Gaussian", "Image layer", "File"
PSF_FILE = "Image file of a point: TIFF, PNG, WebP, JPEG or NPY; resampled where file and image layer have a pixel size."


class PsfRows:
    """How the microscope blurs a point.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: Any) -> None:
        self.kind = ComboBox(choices=[GAUSSIAN, MEASURED, FILE], name="psf", label="PSF")
        self.kind.tooltip = "How the microscope blurs a point: a Gaussian, or a measured image of one."
        self.sigma: Any = editor(Recipe, "psf_sigma", 2.0)
        self.layer = layer_box(viewer, Image, name="psf_layer", label="PSF layer")
        self.layer.tooltip = "Image layer of a point; it is centred, and resampled where both layers have a pixel size."
        self.file = path_box("psf_file", "PSF file", PSF_FILE, folder=False)
        self.rows: list[Widget] = [self.kind, self.sigma, self.layer, self.file]
        self.kind.changed.connect(self.show_rows)
        self._wanted = False

    def show_rows(self, _: Any = None, *, wanted: bool | None = None) -> None:
        """Show the rows of the chosen kind, if the task wants a PSF."""
        self._wanted = self._wanted if wanted is None else wanted
        self.kind.visible = self._wanted
        for row, kind in ((self.sigma, GAUSSIAN), (self.layer, MEASURED), (self.file, FILE)):
            row.visible = self._wanted and self.kind.value == kind

    def fill(self, sigma: float) -> None:
        """Show a Gaussian."""
        fill(self.sigma, sigma)
        self.kind.value = GAUSSIAN

    def psf_sigma(self) -> float | None:
        """Setting of the recipe.

        Raises
        ------
        ValueError
            If a Gaussian is chosen and nothing is typed.
        """
        if self.kind.value != GAUSSIAN:
            return None
        sigma: float | None = value_of(self.sigma)
        if sigma is None:
            raise ValueError("give the PSF's sigma in pixels.")
        return sigma

    def chosen(self) -> Any:
        """Layer or file that holds it; None for a Gaussian."""
        return {MEASURED: self.layer.value, FILE: path_of(self.file)}.get(self.kind.value)

    def ndim(self) -> int:
        """Axes of the measured PSF; 2 for a Gaussian, and where none can be read."""
        source = self.chosen()
        try:
            return 2 if source is None else len(open_image(source)[0].shape) if isinstance(source, Path) else int(source.ndim)
        except (ValueError, OSError):  # which is said where the PSF is read
            return 2

    def psf(self, image: Any, axes: str = "") -> "PSF | None":
        """Measured PSF, ready for an image layer; None for a Gaussian.

        Parameters
        ----------
        image : napari.layers.Image
        axes : str
            Its axes; guessed by default.

        Raises
        ------
        ValueError, OSError
            If none is chosen, or it cannot be used.
        """
        from ..files import read_psf
        from ..layers import layer_pixels
        from ..psf import prepare

        source = self.chosen()
        if self.kind.value == GAUSSIAN:
            return None
        if source is None:
            raise ValueError(
                "choose the image layer that holds the PSF." if self.kind.value == MEASURED else "choose the PSF's file."
            )
        if self.kind.value == FILE:
            return read_psf(source, place_of(image, axes))
        return prepare(np.asarray(layer_pixels(source)), **voxels(source, image, axes))


def place_of(layer: Any, axes: str = "") -> Calibration:
    """Steps and units of a layer by its axes; these are guessed where they do not fit."""
    letters = axes.strip().lower()
    if not len(set(letters)) == len(letters) == layer.ndim:
        letters = guess_axes(layer.data.shape[: layer.ndim])
    return Calibration(tuple(abs(float(step)) for step in layer.scale), tuple(map(str, layer.units)), letters)


def voxels(psf: Any, image: Any, axes: str = "") -> dict[str, Any]:
    """Voxel sizes of a PSF, layer or file, and of an image layer, for ``prepare``; empty where none is to be resampled.

    Parameters
    ----------
    psf : napari.layers.Image or Path
    image : napari.layers.Image
    axes : str
        Those of the image; guessed by default.
    """
    return voxels_of(open_image(psf)[1] if isinstance(psf, Path) else place_of(psf), place_of(image, axes))


def same_in_files(psf: Any, image: Any, axes: str) -> bool:
    """Whether the files of PSF and image, where they lie in some, are resampled as what the viewer shows of them."""
    psf_file, image_file = file_of(psf), file_of(image)
    if psf_file is None or image_file is None:
        return False
    try:
        own, place = open_image(psf_file)[1], open_image(image_file)[1]
    except (ValueError, OSError):  # of a kind that another reader took
        return False
    letters = axes.strip().lower()
    if len(letters) == len(place.axes):
        place = Calibration(place.scale, place.units, letters)
    return voxels_of(own, place) == voxels(psf, image, axes)
