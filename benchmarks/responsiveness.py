"""What a restoration costs in napari: its time beside the same call in a script, and how long the window stands still.

In a real window the BPAE sample's gaps are filled from the dock "Restore image", in turns with ``restore`` called
directly. Afterwards the same runs go on beside a timer that is due every 5 ms: between two of its ticks the window answers
to nobody. With ``--train DATA`` the dock "Train prior" trains meanwhile.

    xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/responsiveness.py [--turns 5] [--train FOLDER]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import QEventLoop, Qt, QTimer

from napari_diffprior import restore
from napari_diffprior.gui import train as training
from napari_diffprior.recipe import Recipe
from napari_diffprior.samples import bpae

TICK_MS = 5
LIMIT_MS = 100


class Gaps:
    """Times between two ticks of a timer in the main thread, in ms, each with what was going on."""

    def __init__(self, phase: Callable[[], str]) -> None:
        self.found: list[tuple[float, str]] = []
        self._phase, self._last = phase, time.perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.found.append(((now - self._last) * 1e3, self._phase()))
        self._last = now

    def skip(self) -> None:
        """Do not count what was since the last tick: the main thread was busy by intention."""
        self._last = time.perf_counter()

    def report(self) -> None:
        """Longest gap of each phase, and how many were too long."""
        sys.stdout.write(f"gaps between ticks that are due every {TICK_MS} ms\n")
        for phase in dict.fromkeys(phase for _, phase in self.found):
            gaps = sorted(gap for gap, when in self.found if when == phase)
            over = sum(gap > LIMIT_MS for gap in gaps)
            middle, high = statistics.median(gaps), gaps[int(0.999 * (len(gaps) - 1))]
            sys.stdout.write(
                f"  {phase}: median {middle:.1f} ms, 99.9 % {high:.0f} ms, longest {gaps[-1]:.0f} ms,"
                f" {over} of {len(gaps)} above {LIMIT_MS} ms\n"
            )


def wait(condition: Callable[[], bool]) -> None:
    """Run the event loop as napari does until a condition holds."""
    loop, asking = QEventLoop(), QTimer()
    asking.timeout.connect(lambda: loop.quit() if condition() else None)
    asking.start(20)
    loop.exec()
    asking.stop()


def for_seconds(seconds: float) -> None:
    """Run the event loop for a while."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def run_widget(widget: Any) -> float:
    """Press Restore and wait for the layers; seconds."""
    started = time.perf_counter()
    widget.restore.native.click()
    wait(lambda: widget._run is None)
    return time.perf_counter() - started


def start_training(viewer: Any, data: Path, folder: Path) -> Any:
    """A training from its dock; returned when its first loss is there."""
    training.last_output = lambda: folder / "prior"
    training.remember_output = lambda output: None
    _, widget = viewer.window.add_plugin_dock_widget("napari-diffprior", "Train prior")
    widget.data.value = data
    widget.form["minutes"].value = "10"
    widget.form["sample_minutes"].value = "0.5"
    widget.form["calibration"].value = 0
    widget.train.native.click()
    wait(lambda: len(widget.curve.lines["training"]) > 0 or widget._run is None)
    if widget._run is None:
        raise RuntimeError(f"the training did not start: {widget.message.value}")
    return widget


def compare_times(viewer: Any, widget: Any, turns: int, samples: int) -> None:
    """Print the time of a worker, and from the click to the layers, beside that of a script; they take turns."""
    image, mask, _ = bpae()
    seconds: dict[str, list[float]] = {"script": [], "click": [], "worker": []}
    for _ in range(turns):
        seconds["script"].append(restore(image, mask, samples=samples).seconds)
        seconds["click"].append(run_widget(widget))
        seconds["worker"].append(viewer.layers["BPAE restored"].metadata["napari-diffprior"]["seconds"])
        remove_results(viewer)
    middle = {name: statistics.median(times) for name, times in seconds.items()}
    for name, time_ in middle.items():
        ratio, times = time_ / middle["script"], ", ".join(f"{one:.2f}" for one in seconds[name])
        sys.stdout.write(f"{name}: median {time_:.2f} s of {times}; {ratio:.3f} x script\n")


def watch_gaps(viewer: Any, widget: Any, turns: int) -> None:
    """Print the gaps of the event loop while it is idle, runs, and shows results."""
    phase = {"now": "idle"}
    gaps = Gaps(lambda: phase["now"])
    for _ in range(turns):
        for_seconds(1)
        phase["now"] = "restoring"
        run_widget(widget)
        phase["now"] = "idle"
        for_seconds(1)
        gaps.skip()
        remove_results(viewer)
        gaps.skip()
    gaps.report()


def remove_results(viewer: Any) -> None:
    """Make room for the next result."""
    for layer in [layer for layer in viewer.layers if layer.name in {"BPAE restored", "BPAE std"}]:
        viewer.layers.remove(layer)


def main() -> None:
    """Print the ratio of times and the gaps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5, help="runs of each kind")
    parser.add_argument("--samples", type=int, default=4, help="posterior samples")
    parser.add_argument("--train", type=Path, help="folder of images to train on meanwhile")
    arguments = parser.parse_args()

    viewer = napari.Viewer()
    viewer.open_sample("napari-diffprior", "bpae")
    _, widget = viewer.window.add_plugin_dock_widget("napari-diffprior", "Restore image")
    widget.show_recipe(Recipe(samples=arguments.samples))
    wait(lambda: "..." not in widget.chip.value)
    run_widget(widget)  # loads the prior
    remove_results(viewer)
    if arguments.train is None:
        compare_times(viewer, widget, arguments.turns, arguments.samples)
    with tempfile.TemporaryDirectory() as folder:
        trained = start_training(viewer, arguments.train, Path(folder)) if arguments.train else None
        watch_gaps(viewer, widget, arguments.turns)
        if trained is not None:
            trained.train.native.click()
            wait(lambda: trained._run is None)
    viewer.close()


if __name__ == "__main__":
    main()
