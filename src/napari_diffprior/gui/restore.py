"""The dock widget "Restore image"."""

import math
from dataclasses import replace
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

from magicgui.widgets import Container, Label, PushButton
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QSizePolicy

from ..params import from_dict
from ..recipe import Recipe
from . import worker
from .advanced import Advanced
from .inputs import Inputs
from .layer_choice import Watch, follow_layers, visible_field
from .outputs import Output, PreviewOutput, ResultOutput
from .run import Run

if TYPE_CHECKING:
    import napari.components

    from ..device import Device
    from ..restoration import Restoration

CHECK_MS = 200
WARM_UP_MS = 500
PREVIEW_STEPS = 8
MESSAGE_LINES = 4
RULER = "M" * 11  # a hidden row as wide as the widest label in napari's font, so that all rows are in line


class RestoreWidget(Container):
    """Fill gaps, deblur or denoise an image layer.

    Parameters
    ----------
    napari_viewer : napari.components.ViewerModel
        Viewer whose layers are restored; a run adds layers and changes none.
    """

    def __init__(self, napari_viewer: "napari.components.ViewerModel") -> None:
        super().__init__(labels=False)
        self._viewer = napari_viewer
        self._run: Run | None = None
        self._output: Output | None = None
        self._device: Device | None = None
        self._closed = self._seen = False
        self._reason = ""
        self.chip = Label(label="Runs on", value="...", tooltip="Known as soon as torch is loaded.")
        self.inputs = Inputs(napari_viewer)
        self._rows: Container = Container(labels=True)
        self.advanced = Advanced(self._rows)
        self.preview = PushButton(text="Preview", tooltip="Restore what the canvas shows, in a few steps.")
        self.restore = PushButton(text="Restore", tooltip="Restore the whole image into new layers.")
        self.message = Label(value="")
        self._lay_out()
        self._connect()
        self.check()

    def _lay_out(self) -> None:
        self._rows.margins = (0, 0, 0, 0)
        self._rows.extend([self.chip, *self.inputs.rows, *self.advanced.rows, Label(label=RULER, visible=False)])
        self.inputs.show_rows()
        self.advanced.show_sampler()
        buttons = Container(widgets=[self.preview, self.restore], layout="horizontal", labels=False)
        buttons.margins = (0, 0, 0, 0)
        for line in (self.chip, self.message):
            line.native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
            line.native.setWordWrap(True)
        self.message.native.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.message.min_height = MESSAGE_LINES * self.message.native.fontMetrics().lineSpacing()
        self.extend([self._rows, buttons, self.message])

    def _connect(self) -> None:
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(CHECK_MS)
        self._timer.timeout.connect(self.check)
        self._watch = Watch(self._later)
        self._rows.changed.connect(self._later)
        self.preview.changed.connect(self.start_preview)
        self.restore.changed.connect(self.start_or_cancel)
        self._unfollow = follow_layers(self._viewer, self.reset_choices)
        self.native.destroyed.connect(self._gone)
        if (application := QApplication.instance()) is not None:
            application.aboutToQuit.connect(self._gone)
        QTimer.singleShot(WARM_UP_MS, self._warm_up)

    # What can be run.

    def recipe(self) -> Recipe:
        """Settings as they stand.

        Raises
        ------
        ValueError
            If one of them is not possible.
        """
        return from_dict(Recipe, {**self.inputs.settings(), **self.advanced.settings()})

    def request(self) -> worker.Request:
        """Copies of the input and the settings, checked.

        Raises
        ------
        ValueError
            One sentence that says why it cannot run.
        """
        pixels, measured, psf = self.inputs.arrays()
        return worker.Request(pixels, ~measured, psf, self.recipe())

    def check(self) -> None:
        """Enable the buttons, or say in one line why not."""
        if self._closed:
            return
        self._watch.only(self.inputs.image.value, self.inputs.mask.value, self.inputs.psf_layer.value)
        self._show_device()
        if self._run is not None:
            return
        try:
            request = self.request()
        except ValueError as error:
            self._set_reason(str(error))
            return
        self._set_reason("")
        self.inputs.show_estimate(request.image, ~request.missing)

    def reset_choices(self, *_: Any, **__: Any) -> None:
        """Follow the viewer's layers."""
        if not self._closed:
            self.inputs.reset_choices()
            self._later()

    def _later(self, *_: Any) -> None:
        if not self._closed:
            self._timer.start()

    def _set_reason(self, reason: str) -> None:
        if reason or self._reason:
            self.message.value = reason[:1].upper() + reason[1:]
        self._reason = reason
        self.preview.enabled = self.restore.enabled = not reason

    # Running.

    def start_or_cancel(self) -> None:
        """Start a restoration; while one runs, cancel it."""
        if self._run is not None:
            self._cancel()
            return
        layer = self.inputs.image.value
        self._start(lambda request: (request, ResultOutput(self._viewer, layer)), "Restoring")

    def _cancel(self) -> None:
        if self._run is not None:
            self.restore.text, self.restore.enabled = "Cancelling...", False
            self._run.cancel()

    def start_preview(self) -> None:
        """Restore the visible field in a few steps."""
        layer = self.inputs.image.value

        def cut(request: worker.Request) -> tuple[worker.Request, Output]:
            field = visible_field(layer, request.image.shape)
            few = replace(request, image=request.image[field], missing=request.missing[field], recipe=_draft(request.recipe))
            return few, PreviewOutput(self._viewer, layer, field)

        self._start(cut, "Preview of")

    def _start(self, prepare: Any, title: str) -> None:
        if self._run is not None:
            return
        try:
            request, self._output = prepare(self.request())
        except ValueError as error:
            self._set_reason(str(error))
            return
        self._seen = self.native.window().isVisible()
        self._run = Run(request, f"{title} {self.inputs.image.value.name}", self)
        self._reason = ""
        self.message.value = "Loading the prior..."
        self.restore.text, self.preview.enabled = "Cancel", False
        self._run.start()

    def progressed(self, progress: worker.Progress, seconds_left: float) -> None:
        """Show how far it is and what it looks like; whoever closes the window or the widget needs it no more."""
        if self._seen and not self.native.window().isVisible():
            self._cancel()
            return
        left = "" if math.isnan(seconds_left) else f", about {_duration(seconds_left)} left"
        self.message.value = f"Step {progress.step} of {progress.total}{left}, misfit {progress.misfit:.2f}"
        if progress.preview is not None and self._output is not None:
            self._output.show(progress.preview)

    def finished(self, result: "Restoration") -> None:
        """Add the result and say how it went."""
        if self._output is not None:
            self._output.finish(result)
        misfit = sum(result.misfit) / len(result.misfit)
        self.message.value = f"Misfit {misfit:.2f}, {result.seconds:.1f} s, seed {result.recipe.seed}"
        self.message.tooltip = "Misfit 1: the result is as far from the data as the noise."

    def failed(self, error: Exception) -> None:
        """Repeat the notification's sentence."""
        self.message.value = str(error)

    def ended(self) -> None:
        """Make the widget ready for the next run."""
        if self._output is not None:
            self._output.close()
        if self._run is not None and self._run.stop.is_set():
            self.message.value = "Cancelled; no layer was added."
        self._run = self._output = None
        self.restore.text = "Restore"
        self.check()

    # Device, and the end.

    def _warm_up(self) -> None:
        """Load torch in the background, once the widget is there; a thread of Python's, which never holds up the exit."""
        if not self._closed:
            found: Queue[Device] = Queue()
            thread = Thread(target=lambda: found.put(worker.warm_up()), daemon=True)
            thread.start()
            self._await_device(found, thread)

    def _await_device(self, found: "Queue[Device]", thread: Thread) -> None:
        if self._closed:
            return
        if not found.empty():
            self._device = found.get()
            self.advanced.offer_device(self._device.name)
            self._show_device()
        elif thread.is_alive():
            QTimer.singleShot(CHECK_MS, lambda: self._await_device(found, thread))

    def _show_device(self) -> None:
        chosen = self.advanced.device.value
        if chosen != "auto":
            self.chip.value = f"{chosen} (chosen in Advanced)"
        elif self._device is not None:
            kind = "CPU" if self._device.name == "cpu" else "GPU"
            self.chip.value = f"{kind} ({self._device.reason})"

    def _gone(self, *_: Any) -> None:
        """Stop and disconnect; Qt's part of the widget is no longer there."""
        self._closed = True
        if self._run is not None:
            self._run.abandon()
        self._unfollow()
        self._watch.only()


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _draft(recipe: Recipe) -> Recipe:
    """One sample in few steps: a fifth of the steps, at least eight."""
    steps = recipe.make_sampler().steps
    few = min(steps, max(PREVIEW_STEPS, steps // 5))
    return replace(recipe, samples=1, options={**recipe.options, "steps": few})
