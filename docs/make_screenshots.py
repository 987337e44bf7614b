"""Take the pictures of the widget for the documentation.

``xvfb-run -a -s "-screen 0 1600x1200x24" python docs/make_screenshots.py``

Opens napari with the BPAE sample and the docked widget, restores it with the embedded prior, and saves the
window before, during and after the run.
"""

import sys
import time
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication

IMAGES = Path(__file__).parent / "images"
SIZE = (1280, 900)
LONGEST_SECONDS = 1800
MIDDLE = 8


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


def save(viewer: napari.Viewer, name: str) -> None:
    """Save the whole window, dialogs over it included."""
    pause(0.5)
    handle = viewer.window._qt_window
    path = IMAGES / f"{name}.png"
    shot = QApplication.primaryScreen().grabWindow(0)
    shot.copy(handle.frameGeometry()).save(str(path))
    sys.stdout.write(f"{path}\n")


def main() -> None:
    """Take the three pictures."""
    IMAGES.mkdir(exist_ok=True)
    viewer = napari.Viewer(title="napari")
    handle = viewer.window._qt_window
    handle.move(0, 0)
    handle.resize(*SIZE)
    viewer.open_sample("napari-diffprior", "bpae")
    _, widget = viewer.window.add_plugin_dock_widget("napari-diffprior", "Restore image")
    wait(lambda: "..." not in widget.chip.value)
    viewer.reset_view()
    save(viewer, "widget_idle")
    widget.restore.changed.emit(True)
    wait(lambda: widget.message.value.startswith(f"Step {MIDDLE} "))
    viewer.window._status_bar._toggle_activity_dock(True)
    pause(0.5)
    save(viewer, "widget_running")
    wait(lambda: widget.restore.text == "Restore")
    viewer.window._status_bar._toggle_activity_dock(False)
    viewer.layers["BPAE mask"].visible = False
    save(viewer, "widget_finished")
    viewer.close()


if __name__ == "__main__":
    main()
