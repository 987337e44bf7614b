"""The upper part of the restore widget: what to restore, and from what."""

from pathlib import Path
from typing import Any

import numpy as np
from magicgui.types import FileDialogMode
from magicgui.widgets import ComboBox, FileEdit, Label, PushButton
from magicgui.widgets.bases import Widget
from napari.layers import Image, Labels

from ..priors.store import find_prior, list_priors
from ..psf import prepare_psf
from ..recipe import Recipe
from .form import editor, fill, value_of
from .layer_choice import first_image, first_mask, layer_box
from .rows import row
from .sample_data import add_mask

Array = np.ndarray[Any, Any]
FILL, DEBLUR, DENOISE = "Fill gaps", "Deblur", "Denoise"
GAUSSIAN, MEASURED = "Gaussian", "Image layer"
LOCAL = "Local folder..."


class Inputs:
    """Rows for image, mask, task, noise, PSF, prior and samples.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    fields = frozenset({"noise", "prior", "psf_sigma", "samples"})  # of the recipe

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.image = layer_box(viewer, Image, name="image", label="Image", tooltip="Grey 2-D image layer; it is not changed.")
        self.mask = layer_box(viewer, Labels, nullable=True, name="mask", tooltip="Painted pixels are missing. Optional.")
        self.new_mask = PushButton(text="New mask", tooltip="Add an empty labels layer over the image, and paint in it.")
        self.task = ComboBox(choices=[FILL, DEBLUR, DENOISE], value=DENOISE, name="task", label="Task")
        self.task.tooltip = "Pixels that are painted in the mask count as missing in every task."
        self.psf = ComboBox(choices=[GAUSSIAN, MEASURED], name="psf", label="PSF", tooltip="How the microscope blurs a point.")
        self.psf_sigma = editor(Recipe, "psf_sigma", 2.0)
        self.psf_layer = layer_box(viewer, Image, name="psf_layer", label="PSF layer", tooltip="Image layer of a point, 2-D.")
        self.noise: Any = editor(Recipe, "noise", "auto")
        self.estimate = Label(value="")
        self.prior = ComboBox(choices=[*(info.name for info in list_priors()), LOCAL], name="prior", label="Prior")
        self.prior.tooltip = "What images look like, learnt from examples: choose the one nearest to yours."
        self.folder = FileEdit(
            mode=FileDialogMode.EXISTING_DIRECTORY, name="folder", label="Folder", tooltip="Folder in the diffusers layout."
        )
        self.samples = editor(Recipe, "samples", Recipe().samples)
        self.rows: list[Widget] = [
            self.image,
            row("Mask", self.mask, self.new_mask),
            self.task,
            self.psf,
            self.psf_sigma,
            self.psf_layer,
            row("Noise", self.noise, self.estimate),
            self.prior,
            self.folder,
            self.samples,
        ]
        self._connect()
        self.begin()

    def _connect(self) -> None:
        self.mask.changed.connect(self._suit_task)
        self.new_mask.changed.connect(self._add_mask)
        for widget in (self.task, self.psf, self.prior):
            widget.changed.connect(self.show_rows)

    def begin(self) -> None:
        """Choose the layers that are most likely meant, where none is chosen yet."""
        image = first_image(self._viewer)
        if image is not None:
            self.image.value = image
        self.mask.value = first_mask(self._viewer, image)

    def reset_choices(self) -> None:
        """Follow the viewer's layers; a first image, or a new mask where none is chosen, is taken."""
        image, mask, known = self.image.value, self.mask.value, self.mask.choices
        for box in (self.image, self.mask, self.psf_layer):
            box.reset_choices()
        if image is None:
            self.begin()
        elif mask is None:
            new = first_mask(self._viewer, self.image.value)
            self.mask.value = None if new in known else new

    def show_rows(self) -> None:
        """Show the rows of the task, and no others."""
        deblur = self.task.value == DEBLUR
        self.psf.visible = deblur
        self.psf_sigma.visible = deblur and self.psf.value == GAUSSIAN
        self.psf_layer.visible = deblur and self.psf.value == MEASURED
        self.folder.visible = self.prior.value == LOCAL

    def _suit_task(self, mask: Any) -> None:
        """A mask means gaps; without one there are none."""
        if mask is None and self.task.value == FILL:
            self.task.value = DENOISE
        elif mask is not None and self.task.value == DENOISE:
            self.task.value = FILL

    def _add_mask(self) -> None:
        if self.image.value is not None:
            self.mask.value = add_mask(self._viewer, self.image.value)

    def settings(self) -> dict[str, Any]:
        """Recipe settings of these rows."""
        gaussian = self.task.value == DEBLUR and self.psf.value == GAUSSIAN
        if gaussian and value_of(self.psf_sigma) is None:
            raise ValueError("give the PSF's sigma in pixels.")
        noise = value_of(self.noise)
        return {
            "noise": "auto" if noise is None else noise,
            "prior": self._prior(),
            "psf_sigma": value_of(self.psf_sigma) if gaussian else None,
            "samples": self.samples.value,
        }

    def fill(self, recipe: Recipe) -> None:
        """Show the settings of a recipe; layers stay as they are chosen."""
        fill(self.noise, recipe.noise)
        fill(self.samples, recipe.samples)
        self.choose_prior(recipe.prior)
        if recipe.psf_sigma is not None:
            fill(self.psf_sigma, recipe.psf_sigma)
            self.task.value, self.psf.value = DEBLUR, GAUSSIAN
        elif self.task.value == DEBLUR and self.psf.value == GAUSSIAN:
            self.task.value = DENOISE if self.mask.value is None else FILL

    def choose_prior(self, prior: str) -> None:
        """Choose an embedded prior by name, or a folder."""
        if prior in self.prior.choices:
            self.prior.value = prior
        else:
            self.prior.value, self.folder.value = LOCAL, Path(prior)

    def patch(self) -> tuple[int, ...]:
        """Tile of the chosen prior, pixels; that of the first where it is not known yet."""
        known = {info.name: info.patch for info in list_priors()}
        return known.get(self.prior.value) or next(iter(known.values()))

    def chosen_psf_layer(self) -> Any:
        """Layer of a measured PSF if the task takes one, else None."""
        return self.psf_layer.value if self.task.value == DEBLUR and self.psf.value == MEASURED else None

    def arrays(self) -> tuple[Array, Array, Array | None]:
        """Copies of the image and of the measured pixels, and the PSF; all checked.

        Raises
        ------
        ValueError
            One sentence that says what is missing or wrong.
        """
        from ..job import check_input
        from ..layers import layer_pixels

        if self.image.value is None:
            raise ValueError("open an image first; File > Open Sample has two to try.")
        if self.task.value == FILL and self.mask.value is None:
            raise ValueError("to fill gaps, choose a mask or press New mask and paint the missing pixels.")
        mask = None if self.mask.value is None else self.mask.value.data
        pixels, measured = check_input(layer_pixels(self.image.value), mask)
        if self.task.value == FILL and measured.all():
            raise ValueError("the mask is empty: paint the missing pixels.")
        return pixels, measured, self._psf()

    def _psf(self) -> Array | None:
        from ..layers import layer_pixels

        if self.task.value != DEBLUR or self.psf.value != MEASURED:
            return None
        if self.psf_layer.value is None:
            raise ValueError("choose the image layer that holds the PSF.")
        return prepare_psf(layer_pixels(self.psf_layer.value))

    def _prior(self) -> str:
        if self.prior.value != LOCAL:
            return str(self.prior.value)
        folder = str(self.folder.value)
        if folder in (".", ""):
            raise ValueError("choose the folder of the prior.")
        find_prior(folder)
        return folder

    def show_estimate(self, pixels: Array, measured: Array) -> None:
        """Write the estimated noise behind ``auto``."""
        from ..noise.estimate import estimate_sigma

        automatic = value_of(self.noise) in (None, "auto")
        self.estimate.value = f"= {estimate_sigma(pixels, measured):.3g}" if automatic else ""
