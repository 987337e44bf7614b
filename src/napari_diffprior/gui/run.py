"""One run: worker, progress bar and the signals between them, delivered one at a time."""

import time
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from threading import Event
from typing import Any, Protocol

from napari.qt.threading import GeneratorWorker, create_worker
from napari.utils import cancelable_progress
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QTimer

from .spinner import Spinner


class Step(Protocol):
    """How far a run is; what else it says is between the steps and the listener."""

    @property
    def step(self) -> int:
        """Steps done."""

    @property
    def total(self) -> int:
        """Steps in all."""


class Listener(Protocol):
    """What a run tells, in the main thread; ``ended`` always comes, and comes last."""

    def progressed(self, progress: Any, seconds_left: float) -> None:
        """Some steps were done."""

    def finished(self, result: Any) -> None:
        """The result is there."""

    def failed(self, error: Exception) -> None:
        """It stopped on an error; the notification is out."""

    def ended(self) -> None:
        """It is over: finished, failed or cancelled."""


class Worker(GeneratorWorker):
    """napari's worker without its relay of errors, which works with some Qt bindings only: the run notifies instead."""

    def _relay_error(self, exc: Exception) -> None:
        """Leave it to the run."""


class Bar(cancelable_progress):
    """Progress bar in the activity dock whose Cancel calls back at once; it is not iterated over."""

    def cancel(self) -> None:
        """Cancel the run."""
        super().cancel()
        if self.cancel_callback is not None:
            self.cancel_callback()


class Run:
    """A job in the background.

    napari's bar processes events while it is updated, so that signals can arrive within the handling of
    another: they are put in a queue and handled in turn.

    Parameters
    ----------
    steps : generator
        Yields steps and returns the result, or None if it was stopped; runs in another thread.
    stop : Event
        Set to cancel it; the steps poll it.
    title : str
        Name in the activity dock.
    listener : Listener
        Told in the main thread.
    """

    def __init__(self, steps: Generator[Step, None, Any], stop: Event, title: str, listener: Listener) -> None:
        self.stop = stop
        self._listener: Listener | None = listener
        self._inbox: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._handling = False
        self._first: tuple[float, int] | None = None
        self._title = title
        self._steps = steps
        self._worker = create_worker(_relay, self._steps, _start_thread=False, _worker_class=Worker, _ignore_errors=True)
        for signal, handler in (
            (self._worker.yielded, self._progressed),
            (self._worker.returned, self._returned),
            (self._worker.errored, self._errored),
            (self._worker.finished, self._finished),
        ):
            signal.connect(partial(self._post, handler))

    def start(self) -> None:
        """Show the progress bar, then start the worker."""
        self._bar = Bar(desc=self._title, total=0, cancel_callback=self.cancel)
        self._spinner = Spinner()
        QTimer.singleShot(0, self._worker.start)  # when the bar has been drawn: beside a run that takes twice as long

    def cancel(self) -> None:
        """Ask the run to stop; it does so within a step."""
        self.stop.set()

    def abandon(self) -> None:
        """Stop, and tell nobody: the widget is going away."""
        self.cancel()
        self._listener = None

    def _post(self, handler: Callable[[Any], None], value: Any = None) -> None:
        self._inbox.append((handler, value))
        if self._handling:
            return
        self._handling = True
        try:
            while self._inbox:
                handle, what = self._inbox.popleft()
                handle(what)
        finally:
            self._handling = False

    def _progressed(self, progress: Step) -> None:
        if self.stop.is_set():
            return
        now = time.monotonic()
        if self._first is None:
            self._first = (now, progress.step)
            self._bar.reset(total=progress.total)
            self._bar.initial = progress.step
        since, done = now - self._first[0], progress.step - self._first[1]
        left = since / done * (progress.total - progress.step) if done else float("nan")
        if self._listener is not None:
            self._listener.progressed(progress, left)
        self._spinner.turn()
        self._bar.update(progress.step - self._bar.n)  # last: it processes events, so the window is composed but once

    def _returned(self, result: Any) -> None:
        if self._listener is not None and result is not None and not self.stop.is_set():
            self._listener.finished(result)

    def _errored(self, error: Exception) -> None:
        notification_manager.receive_error(type(error), error, error.__traceback__)
        if self._listener is not None:
            self._listener.failed(error)

    def _finished(self, _: Any) -> None:
        self._steps.close()  # napari may have made the worker quit, which leaves the generator as it is
        self._spinner.release()
        self._bar.close()
        if self._listener is not None:
            self._listener.ended()


def _relay(steps: Generator[Step, None, Any]) -> Generator[Step, None, Any]:
    """The steps, as the generator function that a worker wants."""
    return (yield from steps)
