"""napari's sign that something is at work, turned by the steps of a run instead of a clock.

By itself it turns 33 times a second, and each time Qt composes the whole window anew, canvas included. Where that is
done without a GPU, as over most remote desktops, it took a fifth of two cores from the run.
"""

from typing import Any

from qtpy.QtWidgets import QApplication, QLabel

BUTTON = "ActivityToggleItem"
FRAMES = 5


class Spinner:
    """The signs in the status bars of all windows, held from now until ``release``."""

    def __init__(self) -> None:
        self._movies: list[Any] = [
            label.movie()
            for window in QApplication.topLevelWidgets()
            for label in window.findChildren(QLabel)
            if label.movie() is not None and type(label.parent()).__name__ == BUTTON
        ]
        for movie in self._movies:
            movie.setPaused(True)

    def turn(self) -> None:
        """Move on by a few frames."""
        for movie in self._movies:
            for _ in range(FRAMES):
                movie.jumpToNextFrame()

    def release(self) -> None:
        """Let the clock turn them again, for what else is at work."""
        for movie in self._movies:
            movie.setPaused(False)
