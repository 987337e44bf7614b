"""The line that says where the network runs, and why."""

from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

from magicgui.widgets import Label
from qtpy.QtCore import QTimer

from . import worker

if TYPE_CHECKING:
    from ..device import Device

WARM_UP_MS = 500
CHECK_MS = 200


class DeviceChip:
    """Row "Runs on"; loads torch in the background, once the widget is there.

    Parameters
    ----------
    box : ComboBox
        Choice of the device; what is found is added to it.
    """

    def __init__(self, box: Any) -> None:
        self._box = box
        self._device: Device | None = None
        self._closed = False
        self.row = Label(label="Runs on", value="...", tooltip="Known as soon as torch is loaded.")
        box.changed.connect(self.show)
        QTimer.singleShot(WARM_UP_MS, self._warm_up)

    def _warm_up(self) -> None:
        """Ask in a thread of Python's, which never holds up the exit."""
        if not self._closed:
            found: Queue[Device] = Queue()
            thread = Thread(target=lambda: found.put(worker.warm_up()), daemon=True)
            thread.start()
            self._await(found, thread)

    def _await(self, found: "Queue[Device]", thread: Thread) -> None:
        if self._closed:
            return
        if not found.empty():
            self._device = found.get()
            if self._device.name not in self._box.choices:
                self._box.choices = (*self._box.choices, self._device.name)
            self.show()
        elif thread.is_alive():
            QTimer.singleShot(CHECK_MS, lambda: self._await(found, thread))

    def show(self, *_: Any) -> None:
        """Write the line anew."""
        if self._closed:
            return
        if self._box.value != "auto":
            self.row.value = f"{self._box.value} (chosen in Advanced)"
        elif self._device is not None:
            kind = "CPU" if self._device.name == "cpu" else "GPU"
            self.row.value = f"{kind} ({self._device.reason})"

    def close(self) -> None:
        """Leave the widget alone: it is going away."""
        self._closed = True
