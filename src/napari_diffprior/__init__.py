"""Restoration of scientific images with diffusion priors, for napari, scripts and the command line."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .layers import restore_layer as restore_layer
    from .priors.store import list_priors as list_priors
    from .priors.store import load_prior as load_prior
    from .recipe import Recipe as Recipe
    from .restoration import Restoration as Restoration
    from .restoration import restore as restore
    from .restoration import restore_iter as restore_iter
    from .stream import restore_to_zarr as restore_to_zarr

_HOMES = {
    "Recipe": "recipe",
    "Restoration": "restoration",
    "list_priors": "priors.store",
    "load_prior": "priors.store",
    "restore": "restoration",
    "restore_iter": "restoration",
    "restore_layer": "layers",
    "restore_to_zarr": "stream",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import what is asked for, and nothing before."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
