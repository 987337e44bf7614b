"""Rows for the point spread function: Gaussian, a layer or a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox
from magicgui.widgets.bases import Widget
from napari.layers import Image

from ..recipe import Recipe
from .form import editor, fill, value_of
from .layer_choice import layer_box
from .rows import path_box, path_of

if TYPE_CHECKING:
    from ..psf import PSF

GAUSSIAN, MEASURED, FILE = "Gaussian", "Image layer", "File"


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
        self.file = path_box("psf_file", "PSF file", "Image file of a point: TIFF, PNG, WebP, JPEG or NPY.", folder=False)
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
        from ..io import open_image

        source = self.chosen()
        try:
            return 2 if source is None else len(open_image(source)[0].shape) if isinstance(source, Path) else int(source.ndim)
        except (ValueError, OSError):  # which is said where the PSF is read
            return 2

    def psf(self, image: Any) -> "PSF | None":
        """Measured PSF, ready for an image layer; None for a Gaussian.

        Raises
        ------
        ValueError, OSError
            If none is chosen, or it cannot be used.
        """
        from ..io import read_image
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
            return prepare(read_image(source)[0])
        return prepare(np.asarray(layer_pixels(source)), **voxels(source, image))


def voxels(psf: Any, image: Any) -> dict[str, Any]:
    """Pixel sizes of two layers, for ``prepare``, where both have the same unit and differ."""
    sides = psf.ndim
    steps = [tuple(float(step) for step in layer.scale[-sides:]) for layer in (psf, image)]
    units = [tuple(str(unit) for unit in layer.units[-sides:]) for layer in (psf, image)]
    if steps[0] == steps[1] or units[0] != units[1] or "pixel" in units[0] or len(steps[1]) != sides:
        return {}
    return {"voxel": steps[0], "image_voxel": steps[1]}
