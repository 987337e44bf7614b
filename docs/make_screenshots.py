"""Take the pictures of the widgets for the documentation.

``xvfb-run -a -s "-screen 0 1600x1200x24" python docs/make_screenshots.py [SCENE ...]``, scenes being functions below.

Opens napari with a sample and one widget at a time, uses it as a person would, and saves the window of the restoration
and the docks of all widgets: idle, running, with an error and finished, in the dark and the light theme.
"""

import sys
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
from napari.settings import get_settings
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_diffprior.gui import train as training
from napari_diffprior.io import Calibration, write_tiff
from napari_diffprior.recipe import Recipe
from napari_diffprior.samples import bpae, synthetic

IMAGES = Path(__file__).parent / "images"
SIZE = (1280, 900)
LONGEST_SECONDS = 1800
MIDDLE = 10
PLANES = 100
KEEPING = Recipe(samples=4, keep_samples=True)


def step_of(message: str) -> int:
    """Step that a message tells: not each of them is told."""
    words = message.split()
    return int(words[1]) if words[:1] == ["Step"] else 0


def wait(condition, seconds: float = LONGEST_SECONDS) -> None:
    """Process events until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the widget did not get there in time.")
        QApplication.processEvents()
        time.sleep(0.01)


def pause(seconds: float) -> None:
    """Let the window settle."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def without_empty_end(picture: Image.Image) -> Image.Image:
    """The upper part of a dock, up to where nothing follows."""
    pixels = np.asarray(picture)[:, 24:-24]  # without frames
    used = np.flatnonzero((pixels != pixels[:, :1]).any(axis=(1, 2))[:-8])
    return picture.crop((0, 0, picture.width, min(picture.height, int(used[-1]) + 16)))


class Stage:
    """A window with one widget, whose pictures are taken in both themes."""

    def __init__(self, name: str, widget: str, sample: str | None = "bpae") -> None:
        self.name = name
        self.viewer = napari.Viewer(title="napari")
        self.handle = self.viewer.window._qt_window
        self.handle.move(0, 0)
        self.handle.resize(*SIZE)
        if sample is not None:
            self.viewer.open_sample("napari-diffprior", sample)
        self.dock, self.widget = self.viewer.window.add_plugin_dock_widget("napari-diffprior", widget)
        pause(1)
        self.viewer.reset_view()

    def save(self, state: str, window: bool = False) -> None:
        """Save the dock in both themes, or the whole window, dialogs over it included, in the dark one."""
        for theme in ("dark",) if window else ("light", "dark"):
            self.viewer.theme = theme
            pause(0.7)
            part = self.handle.frameGeometry() if window else self.dock.geometry().translated(self.handle.pos())
            shot = QApplication.primaryScreen().grabWindow(0).copy(part)
            path = IMAGES / (f"{self.name}_{state}.png" if theme == "dark" else f"{self.name}_{state}_light.png")
            shot.save(str(path))
            picture = Image.open(path).convert("RGB")
            picture = picture if window else without_empty_end(picture)
            picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
            sys.stdout.write(f"{path} {path.stat().st_size // 1000} kB\n")

    def close(self) -> None:
        """Close the window."""
        pause(0.3)
        self.viewer.close()
        pause(0.3)


def restore() -> None:
    """Restore image: gaps of BPAE cells; the error is a mask that is missing."""
    stage = Stage("restore", "Restore image")
    widget = stage.widget
    wait(lambda: "..." not in widget.chip.value)
    stage.save("idle")
    widget.advanced.toggle.changed.emit(True)
    stage.save("advanced")
    widget.advanced.toggle.changed.emit(True)
    widget.inputs.task.value = "Deblur and upsample"
    pause(1)
    stage.save("upsample")
    mask = widget.inputs.mask.value
    widget.inputs.mask.value = None
    widget.inputs.task.value = "Fill gaps"
    pause(1)
    stage.save("error")
    widget.inputs.mask.value = mask
    widget.show_recipe(KEEPING)
    pause(1)
    widget.restore.changed.emit(True)
    wait(lambda: step_of(widget.message.value) >= MIDDLE or widget._run is None)
    stage.save("running")
    stage.viewer.window._status_bar._toggle_activity_dock(True)
    pause(0.5)
    stage.save("window_running", window=True)
    wait(lambda: widget._run is None)
    stage.viewer.window._status_bar._toggle_activity_dock(False)
    stage.viewer.layers["BPAE mask"].visible = False
    stage.save("finished")
    stage.save("window_finished", window=True)
    explore(stage)
    stage.close()


def explore(stage: Stage) -> None:
    """Posterior explorer: on the samples of the result, still and playing."""
    stage.name = "explorer"
    stage.viewer.window.remove_dock_widget(stage.dock)
    stage.dock, stage.widget = stage.viewer.window.add_plugin_dock_widget("napari-diffprior", "Posterior explorer")
    pause(1)
    stage.save("finished")
    stage.save("window", window=True)
    stage.widget.play.changed.emit(True)
    stage.save("running")
    stage.widget.play.changed.emit(True)


def explorer() -> None:
    """Posterior explorer without samples: it says what it needs, which is its only error."""
    stage = Stage("explorer", "Posterior explorer")
    stage.save("idle")
    stage.close()


def folder() -> None:
    """Restore folder with one broken file."""
    with tempfile.TemporaryDirectory() as name:
        source, masks = Path(name) / "images", Path(name) / "masks"
        for folder_of, array in zip((source, masks), bpae(), strict=False):
            folder_of.mkdir()
            for number in range(3):
                part = np.asarray(array)[64 * number : 64 * number + 128, 100:228]
                write_tiff(folder_of / f"cells {number}.tif", part, Calibration.pixels(2))
        (masks / "cells 1b.tif").write_bytes((masks / "cells 1.tif").read_bytes())
        (source / "cells 1b.tif").write_bytes(b"II*\0")
        stage = Stage("folder", "Restore folder", None)
        widget = stage.widget
        stage.save("idle")
        widget.restore.changed.emit(True)
        stage.save("error")
        widget.source.value, widget.masks.value, widget.target.value = source, masks, Path(name) / "restored"
        widget.restore.changed.emit(True)
        wait(lambda: widget.table.rowCount() > 1 or widget._run is None)
        stage.save("running")
        wait(lambda: widget._run is None)
        stage.save("finished")
        stage.close()


def train() -> None:
    """Train prior for a minute and a half on computed cells."""
    with tempfile.TemporaryDirectory() as name:
        training.last_output = lambda: Path(name) / "my-prior"
        training.remember_output = lambda output: None
        source = Path(name) / "images"
        source.mkdir()
        for number in range(9):
            np.save(source / f"{number}.npy", np.rot90(np.asarray(synthetic()[2]), number)[: 512 - number])
        stage = Stage("train", "Train prior", None)
        widget = stage.widget
        stage.save("idle")
        widget.train.changed.emit(True)
        stage.save("error")
        widget.data.value = source
        quick = {"patches": "[32]", "pixels": 16384, "minutes": "1.5", "sample_minutes": "0.4", "calibration": 0}
        for field, value in quick.items():
            widget.form[field].value = value
        widget.train.changed.emit(True)
        wait(lambda: len(widget.curve.lines["training"]) > 5 or widget._run is None)
        stage.save("running")
        stage.save("window_running", window=True)
        wait(lambda: widget._run is None)
        stage.save("finished")
        stage.close()


def compare() -> None:
    """Compare with reference: the damaged sample, which stands in for a result."""
    stage = Stage("compare", "Compare with reference")
    widget = stage.widget
    stage.save("idle")
    widget.image.value, widget.reference.value = stage.viewer.layers["BPAE"], stage.viewer.layers["BPAE"]
    widget.compare.changed.emit(True)
    stage.save("error")
    widget.reference.value = stage.viewer.layers["BPAE reference"]
    widget.compare.changed.emit(True)
    wait(lambda: widget._worker is None)
    stage.save("finished")
    for name in ("BPAE", "BPAE reference"):  # one plane is compared before a picture is taken
        planes = np.stack([stage.viewer.layers[name].data] * PLANES)
        stage.viewer.add_image(planes, name=name.replace("BPAE", "stack"), visible=False)
    widget.image.value, widget.reference.value = stage.viewer.layers["stack"], stage.viewer.layers["stack reference"]
    widget.compare.changed.emit(True)
    stage.save("running")
    wait(lambda: widget._worker is None)
    stage.close()


def preferences() -> None:
    """The page of the plugin in napari's Preferences, in both themes."""
    for theme in ("light", "dark"):
        get_settings().appearance.theme = theme
        preferences_page(IMAGES / ("preferences.png" if theme == "dark" else "preferences_light.png"))


def preferences_page(path: Path) -> None:
    """The page in the theme of napari's settings."""
    viewer = napari.Viewer(title="napari")
    window = viewer.window._qt_viewer.window()
    window.resize(*SIZE)
    dialog = viewer.window._open_preferences_dialog()
    dialog.resize(860, 420)
    names = [dialog._list.item(row).text() for row in range(dialog._list.count())]
    dialog._list.setCurrentRow(next(row for row, name in enumerate(names) if "diffusion" in name.lower() or "diffprior" in name))
    pause(1)
    dialog.grab().save(str(path))
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    dialog.close()
    viewer.close()
    pause(0.3)


def main(wanted: list[str]) -> None:
    """Take the pictures of the wanted widgets, or of all."""
    IMAGES.mkdir(exist_ok=True)
    get_settings().appearance.theme = "dark"
    scenes = {scene.__name__: scene for scene in (restore, explorer, folder, train, compare, preferences)}
    for name in wanted or scenes:
        scenes[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
