"""Write a trained network as a prior: a folder in the diffusers layout with ``prior.json``, a card and a picture."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..io.files import move_into_place
from ..params import to_dict
from .calibrate import calibrate
from .card import write_card
from .data import TrainingImage
from .loop import TrainSettings, make_scheduler, write_json
from .sampling import draw_samples, write_grid

SHOWN = 16


def patches_to_calibrate(settings: TrainSettings) -> int:
    """Patches for each noise level and task: as set, but one for ten minutes of training, so that a trial ends soon."""
    return min(settings.calibration, max(1, round(settings.minutes / 10)))


def write_prior(
    network: Any,
    folder: Path,
    held: Sequence[TrainingImage],
    settings: TrainSettings,
    facts: dict[str, Any],
) -> None:
    """Calibrate a network and write it; the folder appears whole or not at all.

    Parameters
    ----------
    network : UNet2DModel
        Averaged weights.
    folder : Path
        Replaced if it is there.
    held : sequence of TrainingImage
        Held-out images for the calibration.
    settings : TrainSettings
    facts : dict
        What the card says besides: data, licences, images seen, seconds, versions.
    """
    import torch

    from ..device import choose_device
    from ..priors.store import load_prior

    building = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(building, ignore_errors=True)
    patch = settings.patches[-1]
    half = network.to("cpu", torch.float16)
    half.save_pretrained(building / "unet", safe_serialization=True)
    make_scheduler().save_pretrained(building / "scheduler")
    parts = {"unet": ["diffusers", "UNet2DModel"], "scheduler": ["diffusers", "DDPMScheduler"]}
    write_json(building / "model_index.json", {"_class_name": "DDPMPipeline", **parts})
    card = {"format": 1, "range": [-1, 1], "patch": [patch, patch], "settings": to_dict(settings), **facts}
    write_json(building / "prior.json", card)
    device = choose_device()
    card |= calibrate(
        load_prior(building, device.name, device.precision), held, patches_to_calibrate(settings), device=device.name
    )
    write_json(building / "prior.json", card)
    samples = draw_samples(load_prior(building, device.name, device.precision), SHOWN, patch, device=device.name)
    write_grid(building / "samples.png", samples)
    write_card(building, card)
    move_into_place(building, folder)
