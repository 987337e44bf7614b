"""Find, load and describe priors: folders in the diffusers layout, with our ``prior.json`` beside it if it is ours."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..registry import nearest
from .covariance import SpectrumTable
from .network import EdmPrior, NetworkPrior
from .sigma import SigmaTable

EMBEDDED = Path(__file__).parent / "weights"
WEIGHTS = "diffusion_pytorch_model.safetensors"
PREDICTIONS = ("epsilon", "v_prediction", "sample")
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")


@dataclass(frozen=True)
class PriorInfo:
    """What is known of a prior without loading its weights."""

    name: str
    folder: Path
    channels: int
    patch: tuple[int, ...]
    megabytes: float
    licence: str
    card: dict[str, Any] = field(repr=False)


def list_priors() -> list[PriorInfo]:
    """Priors that come with the package."""
    return [_describe(folder) for folder in sorted(EMBEDDED.iterdir()) if (folder / "unet").is_dir()]


def find_prior(prior: str | Path) -> Path:
    """Folder of an embedded prior's name, or the given local folder.

    Raises
    ------
    ValueError
        If there is none, if it is a pickle, or if files are missing; one sentence says what to do.
    """
    names = [info.name for info in list_priors()]
    if str(prior) in names:
        return EMBEDDED / str(prior)
    path = Path(prior)
    if path.suffix in PICKLES:
        raise ValueError(f"{path} is a pickle, which can run code: convert it to a folder with safetensors weights.")
    if not path.is_dir():
        raise ValueError(f"there is no prior {str(prior)!r}, neither embedded nor a folder; {nearest(str(prior), names)}.")
    for needed in (f"unet/{WEIGHTS}", "unet/config.json", "scheduler/scheduler_config.json"):
        if (path / needed).is_file():
            continue
        pickles = [file.name for file in (path / "unet").glob("*") if file.suffix in PICKLES]
        if pickles and needed.endswith(WEIGHTS):
            raise ValueError(f"{path / 'unet' / pickles[0]} is a pickle, which can run code: convert it to {WEIGHTS}.")
        raise ValueError(f"the prior folder {path} is not complete: {needed} is missing.")
    return path


def _json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON: {error}.") from error
    return content


def _describe(folder: Path) -> PriorInfo:
    card, config = _json(folder / "prior.json"), _json(folder / "unet" / "config.json")
    size = config.get("sample_size") or 64
    patch = tuple(card.get("patch") or ((size, size) if isinstance(size, int) else size))
    return PriorInfo(
        name=folder.name,
        folder=folder,
        channels=int(config.get("in_channels", 1)),
        patch=patch,
        megabytes=(folder / "unet" / WEIGHTS).stat().st_size / 1e6,
        licence=str(card.get("licence", "unknown")),
        card=card,
    )


def prior_identity(folder: Path) -> str:
    """SHA-256 of the weights, the name that a result remembers them by."""
    with (folder / "unet" / WEIGHTS).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_spectrum(card: dict[str, Any]) -> SpectrumTable | None:
    """Calibration stored in prior.json."""
    if "error_spectrum" not in card:
        return None
    stored = card["error_spectrum"]
    sigmas = [math.inf if sigma is None else sigma for sigma in stored["sigmas"]]
    return SpectrumTable(np.array(sigmas), np.array(stored["frequencies"]), np.array(stored["power"]))


def write_spectrum(spectrum: SpectrumTable) -> dict[str, Any]:
    """Calibration as JSON types; infinity is written as null."""
    sigmas = [None if math.isinf(sigma) else float(f"{sigma:.6g}") for sigma in spectrum.sigmas]
    power = [[float(f"{value:.4g}") for value in row] for row in spectrum.power]
    return {"sigmas": sigmas, "frequencies": [float(f) for f in spectrum.frequencies], "power": power}


def load_prior(
    prior: str | Path = "microscopy",
    device: str = "cpu",
    precision: Literal["float32", "bfloat16"] = "float32",
) -> NetworkPrior:
    """Load a prior as a denoiser.

    Parameters
    ----------
    prior : str or Path
        Name of an embedded prior, or a folder in the diffusers layout: ``unet/`` and ``scheduler/``.
    device : str
        Torch device.
    precision : {"float32", "bfloat16"}
        Precision inside the network.

    Raises
    ------
    ValueError
        If it cannot be found or loaded; the message says what is missing.
    """
    folder = find_prior(prior)
    stamps = tuple(folder.joinpath(*parts).stat().st_mtime_ns for parts in (("unet", WEIGHTS), ("unet", "config.json")))
    return _load(folder.resolve(), stamps, device, precision)


@lru_cache(maxsize=2)
def _load(folder: Path, stamps: tuple[int, ...], device: str, precision: Literal["float32", "bfloat16"]) -> NetworkPrior:
    """Load a folder once; ``stamps`` are the times of its files, so that a retrained prior is read again."""
    import torch

    scheduler, info = _json(folder / "scheduler" / "scheduler_config.json"), _describe(folder)
    prediction = scheduler.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise ValueError(f"{folder} predicts {prediction!r}, which is not supported; {nearest(str(prediction), PREDICTIONS)}.")
    network = _load_network(folder)
    network = network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    edm = scheduler.get("_class_name") == "EDMEulerScheduler"
    make = EdmPrior if edm else NetworkPrior
    made = make(
        network,
        _edm_table(scheduler) if edm else _ddpm_table(folder),
        prediction,
        info.patch,
        channels=info.channels,
        spectrum=read_spectrum(info.card),
        multiple=2 ** (len(network.config["block_out_channels"]) - 1),
        precision=precision,
    )
    if isinstance(made, EdmPrior):
        made.sigma_data = float(scheduler.get("sigma_data", 0.5))
    return made


def _load_network(folder: Path) -> Any:
    """Network of a prior folder with all of its weights; diffusers alone would fill what is missing with random values."""
    import torch
    from diffusers import UNet2DModel

    try:
        network, report = UNet2DModel.from_pretrained(
            folder / "unet", use_safetensors=True, torch_dtype=torch.float32, low_cpu_mem_usage=False, output_loading_info=True
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"the prior folder {folder} cannot be loaded: {str(error).splitlines()[0]}") from error
    missing = [*report["missing_keys"], *report["mismatched_keys"]]
    if missing:
        raise ValueError(f"the prior folder {folder} cannot be loaded: {WEIGHTS} has no {missing[0]} of the right shape.")
    return network


def _edm_table(scheduler: dict[str, Any]) -> SigmaTable:
    low, high = scheduler.get("sigma_min", 0.002), scheduler.get("sigma_max", 80.0)
    return SigmaTable(np.linspace(math.log(low), math.log(high), 64))


def _ddpm_table(folder: Path) -> SigmaTable:
    from diffusers import DDPMScheduler

    return SigmaTable.from_scheduler(DDPMScheduler.from_pretrained(folder / "scheduler"))
