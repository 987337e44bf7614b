"""Find, load and describe priors: folders in the diffusers layout, with our ``prior.json`` beside it if it is ours."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..device import keep_memory
from ..registry import nearest
from .coverage import CoverageTable
from .hub import PREFIX, cached, hub_folder
from .levels import Levels
from .network import EdmPrior, NetworkPrior, round_weights
from .sigma import SigmaTable
from .spectrum import SpectrumTable

PRIORS_VARIABLE = "NAPARI_DIFFPRIOR_PRIORS"
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
    """Priors that can be used by name.

    Those of the package, those in the user's folder of priors (`own_priors`), and those of the Hugging Face hub that are
    in the cache.
    """
    found = [_describe(folder.name, folder) for home in _homes() for folder in sorted(home.iterdir()) if _is_prior(folder)]
    return found + [_describe(name, folder) for name, folder in cached() if _is_prior(folder)]


def own_priors() -> Path:
    """The user's folder of priors: the one that ``NAPARI_DIFFPRIOR_PRIORS`` names, else where the system keeps such data."""
    from platformdirs import user_data_path

    own = os.environ.get(PRIORS_VARIABLE)
    return Path(own) if own else user_data_path("napari-diffprior", appauthor=False) / "priors"


def _homes() -> list[Path]:
    """Folders of priors: the package's own, and the user's if there is one."""
    return [home for home in (EMBEDDED, own_priors()) if home.is_dir()]


def _is_prior(folder: Path) -> bool:
    network, scheduler = unet_of(folder), scheduler_of(folder)
    return all(path.is_file() for path in (network / WEIGHTS, network / "config.json", scheduler / "scheduler_config.json"))


def unet_of(folder: Path) -> Path:
    """Folder of the network: ``unet`` of a pipeline, or the prior's folder itself."""
    return folder if (folder / "config.json").is_file() and not (folder / "unet").is_dir() else folder / "unet"


def scheduler_of(folder: Path) -> Path:
    """Folder of the noise schedule: ``scheduler`` of a pipeline, or the prior's folder itself."""
    alone = (folder / "scheduler_config.json").is_file() and not (folder / "scheduler").is_dir()
    return folder if alone else folder / "scheduler"


def split_label(prior: str | Path) -> tuple[str, int | None]:
    """Name or folder without its ``#label=N``, and the label.

    Raises
    ------
    ValueError
        If what follows the # is not a label.
    """
    name, mark, rest = str(prior).partition("#")
    if not mark:
        return name, None
    key, _, value = rest.partition("=")
    if key != "label" or not value.isdecimal():
        raise ValueError(f"{str(prior)!r} cannot be read: a class is given as {name}#label=3.")
    return name, int(value)


def find_prior(prior: str | Path) -> Path:
    """Folder of a prior: a name, ``hf:owner/repository@commit``, or a local folder; each with ``#label=N`` if need be.

    Raises
    ------
    ValueError
        If there is none, if it is a pickle, or if files are missing; one sentence says what to do.
    """
    name, _ = split_label(prior)
    named = [home / name for home in _homes() if name and Path(name).name == name and _is_prior(home / name)]
    if named:
        return named[0]
    path = hub_folder(name) if name.startswith(PREFIX) else Path(name)
    if path.suffix in PICKLES:
        raise ValueError(f"{path} is a pickle, which can run code: convert it to a folder with safetensors weights.")
    if not path.is_dir():
        names = [info.name for info in list_priors()]
        raise ValueError(f"there is no prior {name!r}, neither embedded nor a folder; {nearest(name, names)}.")
    network, scheduler = unet_of(path), scheduler_of(path)
    for needed in (network / WEIGHTS, network / "config.json", scheduler / "scheduler_config.json"):
        if needed.is_file():
            continue
        pickles = [file.name for file in network.glob("*") if file.suffix in PICKLES]
        if pickles and needed.name == WEIGHTS:
            raise ValueError(f"{network / pickles[0]} is a pickle, which can run code: convert it to {WEIGHTS}.")
        raise ValueError(f"the prior folder {path} is not complete: {needed.relative_to(path)} is missing.")
    return path


def prior_info(prior: str | Path) -> PriorInfo:
    """What is known of one prior; errors as `find_prior`."""
    folder = find_prior(prior)
    return _describe(str(prior) if str(prior).startswith(PREFIX) else folder.name, folder)


def _json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON: {error}.") from error
    return content


def _describe(name: str, folder: Path) -> PriorInfo:
    card, config = _json(folder / "prior.json"), _json(unet_of(folder) / "config.json")
    size = config.get("sample_size") or 64
    patch = tuple(card.get("patch") or ((size, size) if isinstance(size, int) else size))
    return PriorInfo(
        name=name,
        folder=folder,
        channels=int(config.get("in_channels", 1)),
        patch=patch,
        megabytes=(unet_of(folder) / WEIGHTS).stat().st_size / 1e6,
        licence=str(card.get("licence", "unknown")),
        card=card,
    )


def prior_identity(folder: Path) -> str:
    """SHA-256 of the weights, the name that a result remembers them by."""
    with (unet_of(folder) / WEIGHTS).open("rb") as stream:
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
        Name of an embedded prior, ``hf:owner/repository@commit``, or a folder in the diffusers layout: ``unet/`` and
        ``scheduler/``, or both at its top. ``#label=N`` behind it chooses the class of a class-conditional one.
    device : str
        Torch device.
    precision : {"float32", "bfloat16"}
        Precision inside the network.

    Raises
    ------
    ValueError
        If it cannot be found or loaded; the message says what is missing.
    """
    folder, (_, label) = find_prior(prior), split_label(prior)
    stamps = tuple((unet_of(folder) / name).stat().st_mtime_ns for name in (WEIGHTS, "config.json"))
    return _load(folder.resolve(), label, stamps, device, precision)


@lru_cache(maxsize=2)
def _load(
    folder: Path, label: int | None, stamps: tuple[int, ...], device: str, precision: Literal["float32", "bfloat16"]
) -> NetworkPrior:
    """Load a folder once; ``stamps`` are the times of its files, so that a retrained prior is read again."""
    scheduler, info = _json(scheduler_of(folder) / "scheduler_config.json"), _describe(folder.name, folder)
    prediction = scheduler.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise ValueError(f"{folder} predicts {prediction!r}, which is not supported; {nearest(str(prediction), PREDICTIONS)}.")
    network = plain_network(folder, device)
    _check_label(network, folder, label)
    if device == "cpu":
        from .lean import lean

        keep_memory()
        lean(network)
    if precision == "bfloat16":
        round_weights(network)
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
    made.label, made.coverage, made.levels = label, CoverageTable.from_card(info.card), Levels.from_card(info.card)
    if isinstance(made, EdmPrior):
        made.sigma_data = float(scheduler.get("sigma_data", 0.5))
    return made


def plain_network(folder: Path, device: str = "cpu") -> Any:
    """Frozen network of a prior folder, as diffusers makes it."""
    import torch

    return _load_network(unet_of(folder)).eval().requires_grad_(False).to(device, memory_format=torch.channels_last)


def _load_network(folder: Path) -> Any:
    """Network of a prior folder with all of its weights; diffusers alone would fill what is missing with random values."""
    import torch
    from diffusers import UNet2DModel

    try:
        network, report = UNet2DModel.from_pretrained(
            folder, use_safetensors=True, torch_dtype=torch.float32, low_cpu_mem_usage=False, output_loading_info=True
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"the prior folder {folder} cannot be loaded: {str(error).splitlines()[0]}") from error
    missing = [*report["missing_keys"], *report["mismatched_keys"]]
    if missing:
        raise ValueError(f"the prior folder {folder} cannot be loaded: {WEIGHTS} has no {missing[0]} of the right shape.")
    return network


def _check_label(network: Any, folder: Path, label: int | None) -> None:
    """A class-conditional network needs a class that it knows, another one none."""
    kind, classes = network.config.get("class_embed_type"), network.config.get("num_class_embeds")
    if kind not in (None, "timestep"):
        raise ValueError(f"the prior {folder} wants class embeddings of the type {kind!r}, which are not supported.")
    if not kind and classes is None:
        if label is not None:
            raise ValueError(f"the prior {folder} knows no classes: leave #label={label} out.")
    elif label is None:
        raise ValueError(f"the prior {folder} is class-conditional: choose a class, such as #label=0 behind its name.")
    elif classes is not None and label >= classes:
        raise ValueError(f"the prior {folder} has the classes 0 to {classes - 1}: there is no #label={label}.")


def _edm_table(scheduler: dict[str, Any]) -> SigmaTable:
    low, high = scheduler.get("sigma_min", 0.002), scheduler.get("sigma_max", 80.0)
    return SigmaTable(np.linspace(math.log(low), math.log(high), 64))


def _ddpm_table(folder: Path) -> SigmaTable:
    from diffusers import DDPMScheduler

    return SigmaTable.from_scheduler(DDPMScheduler.from_pretrained(scheduler_of(folder)))
