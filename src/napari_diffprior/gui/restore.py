"""The dock widget "Restore image"."""

import math
import time
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import Container, Label, PushButton
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from ..params import from_dict
from ..recipe import Recipe
from . import worker
from .advanced import Advanced
from .device_chip import DeviceChip
from .extent import FIELD
from .form import fill, value_of
from .inputs import Inputs
from .layer_choice import Watch, follow_layers
from .outputs import Output, PreviewOutput, ResultOutput
from .pace import Pace, count_tiles, duration
from .preferences import preferences
from .quality import Quality, sketched
from .rows import finish_line, headline, row, wrap
from .run import Run
from .script import script
from .settings_menu import SettingsMenu
from .store import that_fits
from .summary import summary

if TYPE_CHECKING:
    import napari.components

    from ..restoration import Restoration

CHECK_MS = 200


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
        self._closed = self._seen = False
        self._changed = True
        self._reason = ""
        self._pace = Pace()
        self.inputs = Inputs(napari_viewer)
        self._rows: Container = Container(labels=True)
        self.advanced = Advanced(self._rows, self.inputs.fields)
        self.quality = Quality(self.inputs.samples, self.advanced)
        self._chip = DeviceChip(self.advanced.device)
        self.chip = self._chip.row
        self.estimate = Label(value="", tooltip="The work of a run, and its time once one of its kind was measured.")
        self.preview = PushButton(text="Preview", tooltip="Restore what the canvas shows, in a few steps.")
        self.restore = PushButton(text="Restore", tooltip="Restore the whole image into new layers.")
        self.settings = SettingsMenu(self, self.script)
        self.message = Label(value="")
        self._lay_out()
        self.show_recipe(Recipe())
        self._connect()
        self.check()

    def _lay_out(self) -> None:
        self._rows.margins = (0, 0, 0, 0)
        *above, samples = self.inputs.rows
        rows = [self.chip, *above, self.quality.row, samples, *self.advanced.rows, headline()]
        self._rows.extend(rows)
        self.inputs.show_rows()
        self.advanced.show_sampler()
        buttons = row("", self.preview, self.restore, self.settings.button)
        wrap(self.chip)
        wrap(self.estimate)
        finish_line(self.message)
        self.extend([self._rows, self.estimate, buttons, self.message])

    def _connect(self) -> None:
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(CHECK_MS)
        self._timer.timeout.connect(self.check)
        self._watch = Watch(self._later)
        self._rows.changed.connect(self.quality.show)
        self._rows.changed.connect(self._later)
        self.inputs.samples.changed.connect(self.advanced.suit_samples)
        for chosen in (self.inputs.image, self.inputs.task, self.inputs.psf.kind, self.inputs.psf.layer, self.inputs.psf.file):
            chosen.changed.connect(self._suit_stack)
        self.preview.changed.connect(self.start_preview)
        self.restore.changed.connect(self.start_or_cancel)
        self._unfollow = follow_layers(self._viewer, self.reset_choices)
        self.native.destroyed.connect(self._gone)
        if (application := QApplication.instance()) is not None:
            application.aboutToQuit.connect(self._gone)

    # What can be run.

    def recipe(self, region: str | None = None) -> Recipe:
        """Settings as they stand; ``region`` stands in for the choice of its row.

        Raises
        ------
        ValueError
            If one of them is not possible.
        """
        return from_dict(Recipe, {**self.inputs.settings(region), **self.advanced.settings()})

    def show_recipe(self, recipe: Recipe) -> None:
        """Show the settings of a recipe; the defaults begin with what the user prefers."""
        self.inputs.fill(recipe)
        self.advanced.fill(recipe)
        if recipe == Recipe():
            chosen = preferences()
            self.advanced.offer_device(chosen.device)
            self.advanced.device.value = chosen.device
            self.quality.row.value = chosen.quality
        self.quality.show()

    def script(self) -> str:
        """Python source that gives the same pixels.

        Raises
        ------
        ValueError
            If no image is chosen, or a setting is not possible.
        """
        image = self.inputs.image.value
        if image is None:
            raise ValueError("choose an image first: the script restores it.")
        return script(self.recipe(), image, self.inputs.mask.value, self.inputs.chosen_psf())

    def request(self, region: str | None = None, *, copy: bool = True) -> worker.Request:
        """Copies of the input and the settings, checked; ``region`` stands in for the choice of its row.

        Raises
        ------
        ValueError
            One sentence that says why it cannot run.
        """
        source, recipe = self.inputs.source(region), self.recipe(region)
        store = self.inputs.store.chosen(self.inputs.image.value, source.layout, recipe)
        image, mask = (np.array(data) if copy and isinstance(data, np.ndarray) else data for data in (source.image, source.mask))
        live, files = preferences().live_preview, self.inputs.files()
        return worker.Request(image, mask, source.psf, source.layout, recipe, live, files, store)

    def check(self) -> None:
        """Enable the buttons, or say in one line why not."""
        if self._closed:
            return
        watched = self.inputs.image.value, self.inputs.mask.value, self.inputs.psf.layer.value
        self._watch.only(*watched, *self.inputs.extent.watched())
        if self._run is not None:
            return
        try:
            request = self.request(copy=False)
        except (ValueError, OSError) as error:
            self._set_reason(str(error))
            self.estimate.value = ""
            return
        self._set_reason("")
        self.estimate.value = self._pace.describe(self._tiles(request), request.recipe)
        if self._changed:
            self.inputs.show_estimate(self.inputs.source(), request.recipe)
            self._changed = False

    def _tiles(self, request: worker.Request) -> int:
        sides = dict(zip(request.layout.axes, request.layout.result_shape, strict=True))
        return count_tiles((request.layout.count, sides["y"], sides["x"]), self.inputs.prior.patch())

    def reset_choices(self, *_: Any, **__: Any) -> None:
        """Follow the viewer's layers."""
        if not self._closed:
            self.inputs.reset_choices()
            self._timer.start()

    def _suit_stack(self, *_: Any) -> None:
        """Take the distance of the planes from the image, where a PSF of a stack is chosen and nothing else was said."""
        row = self.advanced.fixed["anisotropy"]
        try:
            if value_of(row) == Recipe().anisotropy:
                fill(row, self.inputs.anisotropy())
        except ValueError:  # of the axes, which is said where the run is checked
            return

    def _later(self, *_: Any) -> None:
        """Check when the user pauses: a setting, the image or the mask is another."""
        self._changed = True
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
        self._start(None, that_fits, ResultOutput, "Restoring")

    def _cancel(self) -> None:
        if self._run is not None:
            self.restore.text, self.restore.enabled = "Cancelling...", False
            self._run.cancel()

    def start_preview(self) -> None:
        """Restore the visible field in a few steps."""
        self._start(FIELD, sketched, PreviewOutput, "Preview of")

    def _start(self, region: str | None, change: Any, output: Any, title: str) -> None:
        if self._run is not None:
            return
        try:
            request = change(self.request(region))
        except (ValueError, OSError) as error:
            self._set_reason(str(error))
            return
        self._seen = self.native.window().isVisible()
        layer = self.inputs.image.value
        self._request, self._output = request, output(self._viewer, layer, request.layout)
        if request.live:
            self._output.prepare()
        stop = Event()
        self._live_pace = worker.LivePace()
        steps = worker.restore_steps(request, stop, self._live_pace)
        self._run = Run(steps, stop, f"{title} {layer.name}", self)
        self._reason = ""
        self.message.value = "Loading the prior..."
        self.restore.text, self.preview.enabled = "Cancel", False
        QTimer.singleShot(0, self._run.start)  # the window may breathe between a layer and a bar

    def progressed(self, progress: worker.Progress, seconds_left: float) -> None:
        """Show how far it is and what it looks like; whoever closes the window or the widget needs it no more."""
        if self._seen and not self.native.window().isVisible():
            self._cancel()
            return
        self._pace.measure(self._tiles(self._request), self._request.recipe, progress, seconds_left)
        left = "" if math.isnan(seconds_left) else f", about {duration(seconds_left)} left"
        self.message.value = f"Step {progress.step} of {progress.total}{left}, misfit {progress.misfit:.2f}"
        if progress.preview is not None and self._output is not None:
            started, pace = time.monotonic(), self._live_pace
            self._output.show(progress.preview, progress.position)
            QTimer.singleShot(0, lambda: pace.took(time.monotonic() - started))  # after it was painted

    def finished(self, result: "Restoration") -> None:
        """Add the result and say how it went."""
        if self._output is not None:
            self._output.finish(result)
        self.message.value = summary(result)
        self.message.tooltip = "Misfit 1: the result is as far from the data as the noise. Not calibrated: std is only a hint."

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
        self.restore.enabled = self.preview.enabled = True
        self._timer.start()

    # The end.

    def _gone(self, *_: Any) -> None:
        """Stop and disconnect; Qt's part of the widget is no longer there."""
        self._closed = True
        self._chip.close()
        if self._run is not None:
            self._run.abandon()
        if self._output is not None:
            self._output.close()
        self._unfollow()
        self._watch.only()
