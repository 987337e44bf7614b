"""One command from a folder of images to a prior."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .card import collections
from .data import hold_out, read_folder
from .loop import Event, TrainSettings, train, write_json

FEWEST = 500


def train_prior(data: Sequence[Path], output: Path, settings: TrainSettings, licence: str, emit: Callable[[Event], None]) -> None:
    """Train, or continue to train, and write the prior when the time is used up.

    Parameters
    ----------
    data : sequence of Path
        Folders or files.
    output : Path
        Folder of the prior; the state of the run lies in ``<output>.run``.
    settings : TrainSettings
    licence : str
        Licence of the data.
    emit : callable
        Receives events of JSON types.

    Raises
    ------
    ValueError
        If there are too few patches to learn from.
    """
    from .state import Run
    from .store import write_prior

    patch = max(settings.patches)
    images, skipped = read_folder(data, patch)
    patches = sum(image.pixels.size // patch**2 for image in images)
    if patches < FEWEST:
        raise ValueError(f"{patches} patches of {patch} pixels: use at least {FEWEST}, or a smaller patch.")
    kept, held = hold_out(images, settings.held_out)
    run_folder = output.with_name(f"{output.name}.run")
    run_folder.mkdir(parents=True, exist_ok=True)
    emit({"event": "data", "images": len(kept), "held_out": len(held), "skipped": skipped})
    write_json(run_folder / "skipped.json", skipped)
    started = time.monotonic()
    progress = train(kept, held, run_folder, settings, emit)
    run = Run.open(run_folder, settings)
    if not run.main:
        return
    facts = {
        "licence": licence,
        "command": f"diffprior train {' '.join(path.name for path in data)} -o {output.name} --minutes {settings.minutes:g}",
        "machine": _machine(run.accelerator.device.type, run.accelerator.num_processes),
        "collections": collections(kept),
        "images": len(kept),
        "held_out_images": len(held),
        "patches_seen": progress.images,
        "steps": progress.step,
        "seconds": round(progress.seconds),
        "history": progress.history,
    }
    write_prior(run.averaged_network(), output, held, settings, facts)
    emit({"event": "done", "prior": str(output), "seconds": round(time.monotonic() - started)})


def _machine(device: str, processes: int) -> str:
    """What it ran on, in words."""
    import platform

    import torch

    if device == "cuda":
        return f"{processes} x {torch.cuda.get_device_name()}"
    return f"{processes} process(es) of {torch.get_num_threads()} thread(s) on a {platform.machine()} CPU"
