"""Write a trained network as a prior: a folder in the diffusers layout with ``prior.json`` and a card."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..params import to_dict
from ..priors.store import write_spectrum
from .calibrate import error_spectrum
from .card import write_card
from .data import TrainingImage
from .loop import TrainSettings, make_scheduler, write_json


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
    prior = load_prior(building)
    spectrum = error_spectrum(prior, held)
    card["error_spectrum"] = write_spectrum(spectrum)
    card["error_rms"] = [float(f"{spectrum.error_rms(float(sigma)):.4g}") for sigma in spectrum.sigmas[:-1]]
    write_json(building / "prior.json", card)
    write_card(building, card)
    if folder.exists():
        shutil.rmtree(folder)
    building.rename(folder)
