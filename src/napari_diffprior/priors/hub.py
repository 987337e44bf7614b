"""Priors on the Hugging Face hub, at a pinned revision: from the cache if they are there, else downloaded."""

from __future__ import annotations

import re
from pathlib import Path

PREFIX = "hf:"
_ID = re.compile(r"hf:(?P<repository>\w[\w.-]*/\w[\w.-]*)@(?P<revision>[0-9a-f]{40})")
_WEIGHTS = ("config.json", "diffusion_pytorch_model.safetensors")
_ABOUT = ("model_index.json", "scheduler_config.json", "scheduler/scheduler_config.json", "prior.json", "README.md")
PATTERNS: tuple[str, ...] = (*_ABOUT, *_WEIGHTS, *(f"unet/{name}" for name in _WEIGHTS))


def hub_folder(name: str) -> Path:
    """Local folder of a prior on the hub.

    Parameters
    ----------
    name : str
        ``hf:owner/repository@commit`` with the 40 digits of a commit: branches and tags can change.

    Raises
    ------
    ValueError
        If the name is not of that form, or the prior is neither in the cache nor can be downloaded.
    """
    found = _ID.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is not pinned: write hf:owner/repository@ and the 40 digits of a commit.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    def fetch(offline: bool) -> Path:
        patterns = list(PATTERNS)
        place = snapshot_download(
            found["repository"], revision=found["revision"], allow_patterns=patterns, local_files_only=offline
        )
        return Path(place)

    try:
        folder = fetch(offline=True)
        if any((folder / name).is_file() for name in (_WEIGHTS[1], f"unet/{_WEIGHTS[1]}")):
            return folder
    except LocalEntryNotFoundError:
        pass
    try:
        return fetch(offline=False)
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ValueError(
            f"{name} is not in the cache and cannot be downloaded: check the name, the commit and the connection "
            f"({type(error).__name__})."
        ) from error


def cached() -> list[tuple[str, Path]]:
    """Names and folders of the diffusers networks in the cache, at all their revisions."""
    from huggingface_hub import constants

    found = []
    for folder in sorted(Path(constants.HF_HUB_CACHE).glob("models--*--*/snapshots/*")):
        owner, _, repository = folder.parent.parent.name.removeprefix("models--").partition("--")
        found.append((f"{PREFIX}{owner}/{repository}@{folder.name}", folder))
    return [(name, folder) for name, folder in found if _ID.fullmatch(name)]
