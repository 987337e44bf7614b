"""Start-up: the command's help, the import of the package, and the widget in a viewer that is shown; medians of fresh processes.

xvfb-run -a python benchmarks/startup.py        # or without xvfb-run, on a screen
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

IMPORT = "import time; t = time.perf_counter(); import napari_diffprior; print(time.perf_counter() - t)"
WIDGET = """
import time
import napari
import numpy as np
viewer = napari.Viewer()
viewer.add_image(np.random.default_rng(0).random((256, 256), np.float32))
end = time.perf_counter() + 3
while time.perf_counter() < end:  # the window is drawn, napari has settled
    napari.qt.get_qapp().processEvents()
t = time.perf_counter()
dock, widget = viewer.window.add_plugin_dock_widget("napari-diffprior", "Restore image")
napari.qt.get_qapp().processEvents()
print(time.perf_counter() - t)
viewer.close()
"""


def inside(code: str) -> float:
    """Seconds that a fresh process says it took."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout.split()[-1])


def help_seconds() -> float:
    """Seconds of ``diffprior --help``, the interpreter's start included."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "napari_diffprior.cli", "--help"], capture_output=True, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Print the medians as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    cases = {"help": help_seconds, "import": lambda: inside(IMPORT), "widget": lambda: inside(WIDGET)}
    for name, measure in cases.items():
        times = [round(measure(), 3) for _ in range(options.repeats)]
        sys.stdout.write(json.dumps({"case": name, "seconds": statistics.median(times), "all": times}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
