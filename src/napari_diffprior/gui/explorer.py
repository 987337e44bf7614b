"""The dock widget "Posterior explorer": step through samples, and see where the result is the prior's guess."""

from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import CheckBox, Container, FloatSlider, Label, PushButton, Slider
from napari.layers import Image, Layer
from qtpy.QtCore import QTimer

from ..layers import spatial
from ..uncertainty import deviation
from .layer_choice import KEY, follow_layers, layer_box
from .rows import finish_line, headline, row

if TYPE_CHECKING:
    import napari.components

Array = np.ndarray[Any, Any]
PLAY_MS = 400
OVERLAY = {1: "#ff8c1a", None: "transparent"}


class ExplorerWidget(Container):
    """Look at the samples of a result one by one, and mark where they disagree.

    Parameters
    ----------
    napari_viewer : napari.components.ViewerModel
        Viewer with a layer of samples: set Keep samples in Advanced of Restore image.
    """

    def __init__(self, napari_viewer: "napari.components.ViewerModel") -> None:
        super().__init__(labels=False)
        self._viewer = napari_viewer
        self._closed = False
        self._std: Array | None = None
        self._overlay: Any = None
        self._make_rows()
        self._timer = QTimer()
        self._timer.setInterval(PLAY_MS)
        self._timer.timeout.connect(self.next)
        self.samples.changed.connect(self.look)
        self.number.changed.connect(self._step)
        self.play.changed.connect(self.start_or_stop)
        self.threshold.changed.connect(self.mark)
        self.overlay.changed.connect(self.mark)
        self._unfollow = follow_layers(napari_viewer, self.reset_choices)
        self.native.destroyed.connect(self._gone)
        self.look()

    def _make_rows(self) -> None:
        self.samples = layer_box(self._viewer, Image, name="samples", label="Samples", tooltip="Layer <image> samples.")
        self.samples._default_choices = self._choices
        self.samples.reset_choices()
        self.number: Any = Slider(name="number", label="Sample", min=1, max=2, value=1)
        self.number.tooltip = "Which sample is shown, from 1; all of them agree with the data alike."
        self.play = PushButton(text="Play", tooltip="Show one sample after the other.")
        self.overlay = CheckBox(value=True, text="Mark the prior's guess", name="overlay")
        self.overlay.tooltip = "Mark where the samples differ by more than the threshold: there the prior fills in."
        self.threshold: Any = FloatSlider(name="threshold", label="Threshold", min=0, max=1, step=0.001)
        self.threshold.tooltip = "Standard deviation in image units, from 0 to its largest; it starts at that of the noise."
        self.message = Label(value="")
        rows: Container = Container(labels=True)
        rows.margins = (0, 0, 0, 0)
        rows.extend([self.samples, self.number, row("", self.play), self.overlay, self.threshold, headline()])
        finish_line(self.message)
        self.extend([rows, self.message])

    def _choices(self, _: Any) -> list[Any]:
        return [layer for layer in self._viewer.layers if isinstance(layer, Image) and is_samples(layer)]

    def reset_choices(self, *_: Any, **__: Any) -> None:
        """Follow the viewer's layers."""
        if not self._closed:
            before = self.samples.value
            self.samples.reset_choices()
            if self.samples.value is not before:
                self.look()

    def look(self, *_: Any) -> None:
        """Take the chosen layer: its deviation, and the noise as the first threshold."""
        layer = self.samples.value
        for each in (self.number, self.play, self.overlay, self.threshold):
            each.enabled = layer is not None
        if layer is None:
            self._std = None
            self.message.value = "No samples yet: set Keep samples in Advanced of Restore image, and restore."
            return
        layer.visible = True
        story = layer.metadata.get(KEY, {})
        data = np.asarray(layer.data)
        std = deviation(data.astype(np.float32, copy=False)) * float(story.get("coverage_factor") or 1.0)
        self._std = np.sqrt(np.square(std).mean(-1)) if layer.rgb else std
        most = float(self._std.max()) or 1.0
        self.number.max = len(data)
        self.threshold.step = most / 500
        self.threshold.max = most * 501 / 500  # nothing lies above it
        self.threshold.value = min(float(story.get("noise_sigma") or most / 2), most)
        self._step(self.number.value)
        self.mark()

    def _step(self, number: int) -> None:
        """Show a sample: the slider of its axis, the first one of the layer."""
        layer = self.samples.value
        if layer is not None:
            self._viewer.dims.set_current_step(self._viewer.dims.ndim - layer.ndim, number - 1)

    def next(self) -> None:
        """Show the next sample, after the last the first."""
        self.number.value = self.number.value % self.number.max + 1

    def start_or_stop(self) -> None:
        """Play, or stop."""
        if self._timer.isActive():
            self._timer.stop()
        elif self.samples.value is not None:
            self._timer.start()
        self.play.text = "Stop" if self._timer.isActive() else "Play"

    def mark(self, *_: Any) -> None:
        """Bring the overlay up to date."""
        layer = self.samples.value
        if layer is None or self._std is None:
            return
        guess = self._std > self.threshold.value
        self.message.value = (
            f"{100 * guess.mean():.3g} % of the pixels differ between the samples by more than {self.threshold.value:.3g}: "
            "there the result is the prior's guess."
        )
        if self._overlay is None or self._overlay not in self._viewer.layers:
            if not self.overlay.value:
                return
            name = f"{layer.name.removesuffix(' samples')} guess"
            settings = {**without_leading(layer), "name": name, "opacity": 0.5, "colormap": OVERLAY}
            self._overlay = self._viewer.add_layer(Layer.create(guess.astype(np.uint8), settings, "labels"))
        self._overlay.data = guess.astype(np.uint8)
        self._overlay.visible = self.overlay.value

    def _gone(self, *_: Any) -> None:
        self._closed = True
        self._timer.stop()
        self._unfollow()


def is_samples(layer: Any) -> bool:
    """Whether a layer holds posterior samples along its first axis."""
    return layer.ndim > 2 and str(layer.axis_labels[0]) == "sample" and len(layer.data) > 1


def without_leading(layer: Any) -> dict[str, Any]:
    """Spatial attributes of a layer without its first, neutral axis."""
    place = spatial(layer)
    place["affine"] = np.asarray(place["affine"])[1:, 1:]
    place["rotate"] = np.asarray(place["rotate"])[1:, 1:]
    place["shear"] = np.asarray(place["shear"]).ravel()[layer.ndim - 1 :]
    return place | {name: place[name][1:] for name in ("scale", "translate", "units", "axis_labels")}
