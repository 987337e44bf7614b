"""A training in a child process that outlives napari: all that connects them is the run folder."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from qtpy.QtCore import QProcess

from ..io import replacing
from ..params import from_dict, to_dict
from ..train.loop import TrainSettings

EVENTS, ERRORS, PROCESS, SETTINGS, STOP = "events.jsonl", "errors.txt", "process.json", "train.yaml", "stop"
NICENESS = 19


@dataclass(frozen=True)
class Plan:
    """What is trained: the content of ``train.yaml``.

    Parameters
    ----------
    data : tuple of Path
        Folders or files.
    output : Path
        Folder of the prior; the run's folder is ``<output>.run``.
    settings : TrainSettings
    """

    data: tuple[Path, ...]
    output: Path
    settings: TrainSettings

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return self.output.with_name(f"{self.output.name}.run")

    def command(self) -> list[str]:
        """Program and arguments that train it."""
        given = [f"--set={name}={json.dumps(value)}" for name, value in to_dict(self.settings).items()]
        given += [f"--minutes={self.settings.minutes}", f"--size={self.settings.size}"]
        paths = [str(path) for path in self.data]
        return [sys.executable, "-u", "-m", "napari_diffprior.cli", "train", *paths, "-o", str(self.output), *given]

    def write(self) -> None:
        """Write ``train.yaml``, by which a later session knows the run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        plain = {"data": [str(path) for path in self.data], "output": str(self.output), "settings": to_dict(self.settings)}
        with replacing(self.folder / SETTINGS) as temporary:
            temporary.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Plan":
        """Plan of a run folder.

        Raises
        ------
        OSError, ValueError
            If there is none, or it cannot be read.
        """
        plain = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
        data = tuple(Path(path) for path in plain["data"])
        return cls(data, Path(plain["output"]), from_dict(TrainSettings, plain["settings"]))


class TrainingRun:
    """The process of a run folder, of this session or an earlier one.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.folder = plan, plan.folder
        self._read = 0

    def start(self) -> None:
        """Start, or continue where the folder's state ends.

        Raises
        ------
        ValueError
            If it cannot be started.
        """
        self.plan.write()
        (self.folder / STOP).unlink(missing_ok=True)
        (self.folder / ERRORS).unlink(missing_ok=True)
        with (self.folder / EVENTS).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"event": "start"}) + "\n")
        program, *arguments = self.plan.command()
        process = QProcess()
        process.setProgram(program)
        process.setArguments(arguments)
        process.setStandardOutputFile(str(self.folder / EVENTS), QProcess.OpenModeFlag.Append)
        process.setStandardErrorFile(str(self.folder / ERRORS))
        started, number = process.startDetached()
        if not started:
            raise ValueError(f"the training could not be started: {process.errorString()}.")
        _give_way(number)
        (self.folder / PROCESS).write_text(json.dumps({"pid": number, "created": _created(number)}))

    def stop(self) -> None:
        """Ask it to stop; what it has learned becomes a prior."""
        (self.folder / STOP).touch()

    @property
    def alive(self) -> bool:
        """Whether the process is at work."""
        try:
            process = json.loads((self.folder / PROCESS).read_text())
        except (OSError, ValueError):
            return False
        return process["created"] is not None and _created(process["pid"]) == process["created"]

    def events(self) -> list[dict[str, Any]]:
        """Events since the last call; a line that is still being written waits."""
        try:
            with (self.folder / EVENTS).open("rb") as stream:
                stream.seek(self._read)
                text = stream.read()
        except OSError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        return [event for line in whole.splitlines() if (event := _event(line)) is not None]

    def error(self) -> str:
        """What it said when it failed, in one line."""
        try:
            lines = (self.folder / ERRORS).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1].removeprefix("diffprior: ") if lines else "the training ended without a prior."

    def grids(self) -> list[Path]:
        """Pictures of samples, oldest first."""
        return sorted(self.folder.glob("*.png"), key=lambda path: (path.stat().st_mtime_ns, path.name))


def _give_way(number: int) -> None:
    """Lower the priority of a process, so that napari stays quick beside it."""
    with suppress(psutil.Error):  # it has ended, or the system forbids it
        psutil.Process(number).nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if psutil.WINDOWS else NICENESS)
    with suppress(OSError):  # Linux shares time between sessions first, and the training is a session of its own
        Path(f"/proc/{number}/autogroup").write_text(str(NICENESS))


def _created(number: int) -> float | None:
    """When the process of that number began; None if it is not at work."""
    try:
        process = psutil.Process(number)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def save_layers(layers: Sequence[Any], folder: Path) -> Path:
    """Write the planes of image layers as files to learn from; few planes are cut into quarters, so that some can be held out.

    Parameters
    ----------
    layers : sequence of napari.layers.Image
    folder : Path
        Made anew.
    """
    import numpy as np

    from ..layers import layer_pixels

    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.npy"):
        old.unlink()
    planes = [plane for layer in layers for plane in np.asarray(layer_pixels(layer)).reshape(-1, *layer.data.shape[-2:])]
    for number, plane in enumerate(planes):
        halves = [part for half in np.array_split(plane, 2) for part in np.array_split(half, 2, axis=1)]
        for part, pixels in enumerate(halves if len(planes) < 4 else [plane]):
            np.save(folder / f"plane {number:04d} {part}.npy", pixels)
    return folder
