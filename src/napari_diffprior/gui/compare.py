"""The dock widget "Compare with reference": PSNR, SSIM and LPIPS, and a difference layer."""

from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import CheckBox, Container, Label, PushButton
from napari.layers import Image, Layer
from napari.qt.threading import FunctionWorker, create_worker
from qtpy.QtWidgets import QTableWidgetItem

from ..layers import layer_pixels, spatial
from .layer_choice import follow_layers, layer_box
from .rows import finish_line, headline, row, table

if TYPE_CHECKING:
    import napari.components

Array = np.ndarray[Any, Any]
COLUMNS = ("Layer", "PSNR (dB)", "SSIM", "LPIPS")


class CompareWidget(Container):
    """Measure how far an image layer is from a reference layer.

    Parameters
    ----------
    napari_viewer : napari.components.ViewerModel
        Viewer whose layers are compared; a difference layer is added to it.
    """

    def __init__(self, napari_viewer: "napari.components.ViewerModel") -> None:
        super().__init__(labels=False)
        self._viewer = napari_viewer
        self._worker: Any = None
        self._closed = False
        self.image = layer_box(napari_viewer, Image, name="image", label="Image", tooltip="Layer that is judged.")
        self.reference = layer_box(napari_viewer, Image, name="reference", label="Reference", tooltip="Layer that is the truth.")
        self.difference = CheckBox(value=True, text="Difference layer", name="difference")
        self.difference.tooltip = "Also add image minus reference as a layer, in image units, white where they are equal."
        self.compare = PushButton(text="Compare", tooltip="Add a line to the table.")
        self.table = table(*COLUMNS)
        self.table.setToolTip("PSNR and SSIM: larger is closer. LPIPS: smaller is closer; its network saw photographs only.")
        self.message = Label(value="")
        rows: Container = Container(labels=True)
        rows.margins = (0, 0, 0, 0)
        rows.extend([self.image, self.reference, self.difference, headline()])
        finish_line(self.message)
        self.extend([rows, row("", self.compare)])
        self.native.layout().addWidget(self.table)
        self.append(self.message)
        self.compare.changed.connect(self.start)
        self._unfollow = follow_layers(napari_viewer, self.reset_choices)
        self.native.destroyed.connect(self._gone)
        self.reset_choices()

    def reset_choices(self, *_: Any, **__: Any) -> None:
        """Follow the viewer's layers; at first guess which is which."""
        if self._closed:
            return
        for box in (self.image, self.reference):
            box.reset_choices()
        names = {str(getattr(layer, "name", "")): layer for layer in self.image.choices}
        if names and self.image.value is self.reference.value:
            self.image.value = next((names[name] for name in names if name.endswith(" restored")), self.image.value)
            guess = (names[name] for name in names if "reference" in name.lower())
            self.reference.value = next(guess, self.reference.value)

    def start(self) -> None:
        """Compare the chosen layers in the background."""
        if self._worker is not None:
            return
        image: Any = self.image.value
        reference: Any = self.reference.value
        try:
            if image is None or reference is None or image is reference:
                raise ValueError("choose two different image layers.")
            one, other = np.asarray(layer_pixels(image)), part_of(reference, image)
        except ValueError as error:
            self.message.value = str(error)[:1].upper() + str(error)[1:]
            return
        self.message.value, self.compare.enabled = "Comparing...", False
        self._worker = create_worker(measure, one, other, _start_thread=False, _worker_class=FunctionWorker)
        name: str = image.name
        self._worker.returned.connect(lambda found: self._show(name, found))
        self._worker.finished.connect(self._ended)
        if self.difference.value:
            self._add_difference(image, reference.name, one, other)
        self._worker.start()

    def _add_difference(self, image: Any, reference: str, one: Array, other: Array) -> None:
        gap = one.astype(np.float32) - other.astype(np.float32)
        reach = float(np.percentile(np.abs(gap), 99.5)) or 1.0
        look = {"colormap": "PiYG", "contrast_limits": (-reach, reach), "rgb": False}
        settings = {**spatial(image), **look, "name": f"{image.name} - {reference}"}
        self._viewer.add_layer(Layer.create(gap, settings, "image"))

    def _show(self, name: str, found: dict[str, float | str]) -> None:
        if self._closed:
            return
        last = self.table.rowCount()
        self.table.insertRow(last)
        for column, value in enumerate((name, *found.values())):
            text = value if isinstance(value, str) else f"{value:.4g}"
            item = QTableWidgetItem("-" if column and isinstance(value, str) else text)
            item.setToolTip(text)
            self.table.setItem(last, column, item)
        self.table.resizeColumnsToContents()
        self.message.value = "" if not isinstance(found["LPIPS"], str) else f"No LPIPS: {found['LPIPS']}"

    def _ended(self) -> None:
        self._worker = None
        if not self._closed:
            self.compare.enabled = True
            if self.message.value == "Comparing...":
                self.message.value = "The layers could not be compared."

    def _gone(self, *_: Any) -> None:
        self._closed = True
        self._unfollow()


def measure(image: Array, reference: Array) -> dict[str, float | str]:
    """Figures of an image against a reference, means over the planes; instead of one that cannot be had, why not."""
    from ..metrics import lpips, psnr, ssim

    span = float(np.ptp(reference)) or None
    planes = [(one, other) for one, other in zip(_planes(image), _planes(reference), strict=True)]
    found: dict[str, float | str] = {}
    for name, figure in (("PSNR", psnr), ("SSIM", ssim), ("LPIPS", lpips)):
        try:
            found[name] = float(np.mean([figure(one, other, data_range=span) for one, other in planes]))
        except (ValueError, FileNotFoundError) as error:
            found[name] = str(error)
    return found


def _planes(pixels: Array) -> Array:
    return pixels.reshape(-1, *pixels.shape[-2:])


def part_of(reference: Any, image: Any) -> Array:
    """Pixels of a reference layer where an image layer lies, which may be a part of it.

    Raises
    ------
    ValueError
        If the image does not lie within the reference, pixel on pixel.
    """
    pixels, shape = np.asarray(layer_pixels(reference)), np.shape(layer_pixels(image))
    if pixels.shape == shape:
        return pixels
    if pixels.ndim == len(shape):
        corner = np.asarray(reference.world_to_data(image.data_to_world((0,) * len(shape))))
        first = np.rint(corner).astype(int)
        inside = (first >= 0).all() and (first + shape <= pixels.shape).all()
        if inside and np.allclose(corner, first, atol=0.01) and np.allclose(image.scale, reference.scale):
            return pixels[tuple(slice(start, start + side) for start, side in zip(first, shape, strict=True))]
    raise ValueError(f"the image has the shape {shape}, the reference {pixels.shape}: choose layers that lie on each other.")
