"""One command from a folder of images to a prior."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..params import from_dict, to_dict
from ..priors.levels import Levels
from .card import collections
from .data import TYPICAL, TrainingImage, batch, hold_out, read_folder, statistics
from .loop import Event, TrainSettings, train, write_json

FEWEST, FEWEST_TUNED = 500, 50


def train_prior(
    data: Sequence[Path],
    output: Path,
    settings: TrainSettings,
    licence: str,
    emit: Callable[[Event], None],
    attribution: str = "",
) -> None:
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
    attribution : str
        Who must be named for the data, for the card.

    Raises
    ------
    ValueError
        If there are too few patches to learn from, or the output cannot be replaced.
    """
    from accelerate import PartialState

    from .state import Run
    from .store import write_prior

    if output.exists() and not (output / "prior.json").is_file():
        raise ValueError(f"{output} exists and is not a prior: choose another output folder.")
    images, skipped = read_folder(data, settings.patches[-1], settings.noise_limit)
    check_enough(images, skipped, settings)
    kept, held = hold_out(images, settings.held_out)
    widest = max(min(image.shape) for image in kept)
    settings = replace(settings, patches=tuple(patch for patch in settings.patches if patch <= widest))
    run_folder = output.with_name(f"{output.name}.run")
    run_folder.mkdir(parents=True, exist_ok=True)
    if PartialState().is_main_process:
        emit({"event": "data", "images": len(kept), "held_out": len(held), "skipped": skipped})
        write_json(run_folder / "skipped.json", skipped)
    started = time.monotonic()
    train(kept, held, run_folder, settings, emit)
    run = Run.open(run_folder, settings)
    if not run.main:
        return
    facts = {"licence": licence, "attribution": attribution, "command": _command(data, output, settings)}
    facts |= _story(run, kept, held, settings)
    write_prior(run.averaged_network(), output, held, settings, facts)
    emit({"event": "done", "prior": str(output), "seconds": round(time.monotonic() - started)})


def learned_from(images: Sequence[TrainingImage], settings: TrainSettings) -> dict[str, Any]:
    """Statistics of the patches that a training sees, for ``prior.json``: what the prior makes up should have the same."""
    patches = batch(images, settings.patches[-1], TYPICAL, [settings.seed])
    return {"trained_on": statistics(patches), "levels": list(Levels.of(patches).means)}


def _story(run: Any, kept: Sequence[TrainingImage], held: Sequence[TrainingImage], settings: TrainSettings) -> dict[str, Any]:
    """What a training has seen and done, for the card."""
    progress = run.progress
    found = {
        "machine": _machine(run.accelerator.device.type, run.accelerator.num_processes),
        "collections": collections(kept),
        "images": len(kept),
        **learned_from(kept, settings),
        "held_out_images": len(held),
        "patches_seen": progress.images,
        "steps": progress.step,
        "seconds": round(progress.seconds),
        "history": progress.history,
    }
    return {**found, "started_from": _ancestry(settings.from_prior)} if settings.from_prior else found


def recalibrate(data: Sequence[Path], folder: Path, emit: Callable[[Event], None], patches: int | None = None) -> None:
    """Measure the coverage of a finished prior again, on what was held out of its training data; its weights stay.

    Parameters
    ----------
    data : sequence of Path
        Folders or files that it was trained on.
    folder : Path
        The prior; its ``prior.json`` and its card are rewritten.
    emit : callable
        Receives events of JSON types.
    patches : int, optional
        Patches for each noise level and task; by default as many as its training asked for.

    Raises
    ------
    ValueError
        If it is no trained prior, or other images would be held out of these data than of its own.
    """
    from ..device import choose_device
    from ..priors.store import load_prior, prior_info
    from .calibrate import coverage
    from .card import write_card

    card = prior_info(folder).card
    if "settings" not in card:
        raise ValueError(f"{folder} was not made by diffprior train: its coverage cannot be measured again.")
    settings = {**to_dict(TrainSettings()), **card["settings"]}
    images, _ = read_folder(data, settings["patches"][-1], settings["noise_limit"])
    kept, held = hold_out(images, settings["held_out"])
    if (len(kept), len(held)) != (card["images"], card["held_out_images"]):
        raise ValueError(f"{folder} was trained on {card['images']} images, not on the {len(kept)} of these data: name its own.")
    settings["calibration"] = patches or settings["calibration"] or TrainSettings().calibration
    card |= {"settings": settings, "command": _command(data, folder, from_dict(TrainSettings, settings))}
    started, device = time.monotonic(), choose_device()
    prior = load_prior(folder, device.name, device.precision)
    card["coverage"] = coverage(prior, held, settings["calibration"], settings["seed"], device.name)
    write_json(folder / "prior.json", card)
    write_card(folder, card)
    emit({"event": "coverage", "prior": str(folder), "seconds": round(time.monotonic() - started), **card["coverage"]})


def _ancestry(prior: str) -> list[dict[str, Any]]:
    """How the prior was made that a training starts from, the nearest first, as far as its card says."""
    from ..priors.store import prior_info

    card = prior_info(prior).card
    made: dict[str, Any] = {key: card[key] for key in ("command", "steps", "patches_seen", "seconds", "machine") if key in card}
    return [made, *card.get("started_from", [])] if made else []


def check_enough(images: Sequence[TrainingImage], skipped: Sequence[str], settings: TrainSettings) -> None:
    """Refuse data that are too few to learn from, with what to do instead."""
    patch = settings.patches[-1]
    patches = sum(image.pixels.size // patch**2 for image in images)
    fewest = FEWEST_TUNED if settings.from_prior else FEWEST
    if patches >= fewest:
        return
    advice = "add images" if settings.from_prior else "fine-tune with --from microscopy"
    first = f" {len(skipped)} skipped, the first: {skipped[0]}." if skipped else ""
    raise ValueError(f"{patches} patches of {patch} pixels: use at least {fewest}, or {advice}.{first}")


def _command(data: Sequence[Path], output: Path, settings: TrainSettings) -> str:
    """The command that makes this prior from the data."""
    usual = to_dict(TrainSettings())
    named = {"size": "--size", "minutes": "--minutes", "from_prior": "--from"}
    words = ["diffprior train", *(path.name for path in data), "-o", output.name]
    for name, value in to_dict(settings).items():
        if name == "minutes" or value != usual[name]:
            words += (
                [named[name], f"{value}"] if name in named else ["--set", f"{name}={json.dumps(value, separators=(',', ':'))}"]
            )
    return " ".join(words)


def _machine(device: str, processes: int) -> str:
    """What it ran on, in words."""
    import platform

    import torch

    if device == "cuda":
        return f"{processes} x {torch.cuda.get_device_name()}"
    return f"{processes} process(es) of {torch.get_num_threads()} thread(s) on a CPU, {platform.machine()}"
