"""The upper part of the restore widget: what to restore, and from what."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox, Label, PushButton
from magicgui.widgets.bases import Widget
from napari.layers import Image, Labels

from ..axes import Layout
from ..io import Calibration
from ..layers import layer_pixels
from ..recipe import Recipe
from .extent import Extent
from .form import editor, fill, value_of
from .layer_choice import file_of, first_image, first_mask, layer_box
from .prior_rows import PriorRows
from .psf_rows import PsfRows, same_in_files
from .rows import row
from .sample_data import add_mask
from .store import StoreRow

if TYPE_CHECKING:
    from ..psf import PSF

Array = np.ndarray[Any, Any]
FILL, DEBLUR, DENOISE, UPSAMPLE, BOTH = "Fill gaps", "Deblur", "Denoise", "Upsample", "Deblur and upsample"
BLURRED, FINER = (DEBLUR, BOTH), (UPSAMPLE, BOTH)


@dataclass(frozen=True)
class Source:
    """Arrays of a run as the layers hold them, checked, and how their axes lie."""

    image: Any
    mask: Any
    psf: "PSF | None"
    layout: Layout


class Inputs:
    """Rows for image, mask, axes, task, noise, PSF, prior and samples.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    fields = Extent.fields | {"noise", "prior", "psf_sigma", "samples", "upsample"}  # of the recipe

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.image = layer_box(viewer, Image, name="image", label="Image", tooltip="Image layer of any axes; it is not changed.")
        self.mask = layer_box(viewer, Labels, nullable=True, name="mask", tooltip="Painted pixels are missing. Optional.")
        self.new_mask = PushButton(text="New mask", tooltip="Add an empty labels layer over the image, and paint in it.")
        self.extent = Extent(viewer)
        self.task = ComboBox(choices=[FILL, DEBLUR, DENOISE, UPSAMPLE, BOTH], value=DENOISE, name="task", label="Task")
        self.task.tooltip = "Pixels that are painted in the mask count as missing in every task."
        self.factor: Any = ComboBox(choices=[2, 3, 4], value=2, name="upsample", label="Factor")
        self.factor.tooltip = "Pixels of the result along a side of a measured one, which is taken as the mean of them."
        self.psf = PsfRows(viewer)
        self.noise: Any = editor(Recipe, "noise", "auto")
        self.estimate = Label(value="", tooltip="Standard deviation that was estimated from the plane that is shown.")
        self.prior = PriorRows()
        self.samples: Any = editor(Recipe, "samples", Recipe().samples)
        self.store = StoreRow()
        self.rows: list[Widget] = [self.image, row("Mask", self.mask, self.new_mask), self.extent.axes, self.extent.region]
        self.rows += [self.store.box, self.task, self.factor, *self.psf.rows, row("Noise", self.noise, self.estimate)]
        self.rows += [*self.prior.rows, self.samples]
        self._connect()
        self.begin()

    def _connect(self) -> None:
        self.image.changed.connect(self.extent.follow)
        self.image.changed.connect(self.store.follow)
        self.mask.changed.connect(self._suit_task)
        self.new_mask.changed.connect(self._add_mask)
        self.task.changed.connect(self.show_rows)

    def begin(self) -> None:
        """Choose the layers that are most likely meant, where none is chosen yet."""
        image = first_image(self._viewer)
        if image is not None:
            self.image.value = image
        self.mask.value = first_mask(self._viewer, image)
        self.extent.follow(self.image.value)

    def reset_choices(self) -> None:
        """Follow the viewer's layers; a first image, or a new mask where none is chosen, is taken."""
        image, mask, known = self.image.value, self.mask.value, self.mask.choices
        for box in (self.image, self.mask, self.psf.layer):
            box.reset_choices()
        self.extent.offer()
        if image is None:
            self.begin()
        elif mask is None:
            new = first_mask(self._viewer, self.image.value)
            self.mask.value = None if new in known else new

    def show_rows(self, *_: Any) -> None:
        """Show the rows of the task, and no others."""
        self.psf.show_rows(wanted=self.task.value in BLURRED)
        self.factor.visible = self.task.value in FINER
        self.prior.show_rows()
        self.store.follow(self.image.value)
        if self.image.value is None:
            self.extent.axes.visible = False

    def _suit_task(self, mask: Any) -> None:
        """A mask means gaps; without one there are none."""
        if mask is None and self.task.value == FILL:
            self.task.value = DENOISE
        elif mask is not None and self.task.value == DENOISE:
            self.task.value = FILL

    def _add_mask(self) -> None:
        if self.image.value is not None:
            self.mask.value = add_mask(self._viewer, self.image.value)

    def settings(self, region: str | None = None) -> dict[str, Any]:
        """Recipe settings of these rows; ``region`` stands in for the choice of its row."""
        noise = value_of(self.noise)
        return {
            "noise": "auto" if noise is None else noise,
            "prior": self.prior.name(),
            "psf_sigma": self.psf.psf_sigma() if self.task.value in BLURRED else None,
            "upsample": self.factor.value if self.task.value in FINER else 1,
            "samples": self.samples.value,
            **self.extent.settings(self.image.value, region, self._core()),
        }

    def _core(self) -> str:
        """Axes that are restored together: with the PSF of a stack, z too."""
        return "zyx" if self.task.value in BLURRED and self.psf.ndim() == 3 else "yx"

    def anisotropy(self) -> float:
        """Step between planes over step between pixels, as the image layer says, if planes are restored together."""
        layer = self.image.value
        if layer is None or self._core() == "yx":
            return 1.0
        scale, units = tuple(abs(float(step)) for step in layer.scale), tuple(map(str, layer.units))
        return Calibration(scale, units, self.extent.axes.value.strip().lower()[: layer.ndim]).anisotropy

    def fill(self, recipe: Recipe) -> None:
        """Show the settings of a recipe; layers stay as they are chosen."""
        fill(self.noise, recipe.noise)
        fill(self.samples, recipe.samples)
        self.prior.choose(recipe.prior)
        self.extent.fill(recipe, self.image.value)
        if recipe.psf_sigma is not None:
            self.psf.fill(recipe.psf_sigma)
        if recipe.upsample > 1:
            self.factor.value = recipe.upsample
        blurred, finer = recipe.psf_sigma is not None or self.chosen_psf() is not None, recipe.upsample > 1
        if blurred or finer:
            self.task.value = BOTH if blurred and finer else DEBLUR if blurred else UPSAMPLE
        elif self.task.value in (*BLURRED, *FINER):
            self.task.value = DENOISE if self.mask.value is None else FILL

    def chosen_psf(self) -> Any:
        """Layer or file of a measured PSF if the task takes one, else None."""
        return self.psf.chosen() if self.task.value in BLURRED else None

    def source(self, region: str | None = None) -> Source:
        """What is restored; the plane that the canvas shows is checked, the rest when it is read.

        Raises
        ------
        ValueError, OSError
            One sentence that says what is missing or wrong.
        """
        from ..psf import axes_of

        layer = self.image.value
        if layer is None:
            raise ValueError("open an image first; File > Open Sample has two to try.")
        if self.task.value == FILL and self.mask.value is None:
            raise ValueError("to fill gaps, choose a mask or press New mask and paint the missing pixels.")
        image, mask = layer_pixels(layer, colour=True), None if self.mask.value is None else layer_pixels(self.mask.value)
        psf = self.psf.psf(layer, self.extent.axes.value) if self.task.value in BLURRED else None
        core = axes_of(psf)
        chosen = self.extent.settings(layer, region, core)
        upsample = self.factor.value if self.task.value in FINER else 1
        layout = Layout.of(image, chosen["axes"], chosen["region"], core, upsample)
        position = self._position(layer, layout)
        missing = layout.read_mask(mask, position)
        if self.task.value == FILL and not (missing is not None and missing.any()) and not np.any(mask):
            raise ValueError("the mask is empty: paint the missing pixels.")
        if layout.count == (image.shape[-1] if layer.rgb else 1) and core == "yx":
            _check_plane(layout, image, missing)
        return Source(image, mask, psf, layout)

    def files(self) -> dict[str, Path | None] | None:
        """Files of image, mask and PSF; None if one of them does not lie in a file as it is used."""
        used = {"image": self.image.value, "mask": self.mask.value, "psf": self.chosen_psf()}
        psf = used["psf"]
        if psf is not None and not same_in_files(psf, used["image"], self.extent.axes.value):
            return None
        found = {name: None if one is None else file_of(one) for name, one in used.items()}
        return None if any(found[name] is None and used[name] is not None for name in used) else found

    def _position(self, layer: Any, layout: Layout) -> tuple[int, ...]:
        """Restored plane that is shown, or the nearest one."""
        now = self.extent.position(layer, layout)
        spans = {letter: layout.span(letter) for letter in layout.leading}
        return tuple(min(max(now[letter], first), stop - 1) for letter, (first, stop) in spans.items())

    def show_estimate(self, source: Source, recipe: Recipe) -> None:
        """Write the estimated noise behind ``auto``."""
        from ..job import check_input, leave_out
        from ..noise.estimate import estimate_sigma

        text = ""
        if value_of(self.noise) in (None, "auto") and source.layout.core == "yx":
            position = self._position(self.image.value, source.layout)
            plane, mask = source.layout.read(source.image, position), source.layout.read_mask(source.mask, position)
            try:
                pixels, measured = check_input(plane, mask)
                measured, saturated, _ = leave_out(plane, pixels, measured, recipe)
                text = f"= {estimate_sigma(pixels, measured & ~saturated):.3g}"
            except ValueError:  # of one plane of a stack, which is handed on as it is
                text = ""
        self.estimate.value = text


def _check_plane(layout: Layout, image: Any, missing: Array | None) -> None:
    """Whether a plane can be restored; of colours some may be constant, as an alpha channel is."""
    from ..job import check_input
    from ..plane import is_constant

    planes = [layout.read(image, position) for position in layout.positions()]
    telling = [plane for plane in planes if not is_constant(plane if missing is None else plane[missing == 0])]
    for plane in telling or planes[:1]:
        check_input(plane, missing)
