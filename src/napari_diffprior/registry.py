"""Find samplers, operators and noise models by name.

A package scan and the entry-point groups ``napari_diffprior.samplers``, ``.operators`` and ``.noises``:
a new file in the package, or an installed package of somebody else's, is found without another edit.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType, ModuleType
from typing import Any, Literal

Kind = Literal["sampler", "operator", "noise"]

_HOMES: Mapping[str, str] = MappingProxyType({"sampler": "samplers", "operator": "operators", "noise": "noise"})


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known names are closest to a mistyped one, or list them all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"choose from {', '.join(names) or 'nothing'}"


def _modules(home: ModuleType) -> Iterable[ModuleType]:
    yield home
    for info in pkgutil.iter_modules(getattr(home, "__path__", [])):
        yield importlib.import_module(f"{home.__name__}.{info.name}")


@cache
def registered(kind: Kind) -> Mapping[str, type[Any]]:
    """All classes of a kind by name, in alphabetical order.

    A class is listed when its own module, in ``napari_diffprior.<kind>s``, gives it a ``name``.
    """
    package = __name__.rpartition(".")[0]
    home = importlib.import_module(f"{package}.{_HOMES[kind]}")
    found: dict[str, type[Any]] = {}
    for module in _modules(home):
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == module.__name__ and "name" in vars(value):
                found[value.name] = value  # type: ignore[attr-defined]
    for entry in entry_points(group=f"{package}.{kind}s"):
        found[entry.name] = entry.load()
    return MappingProxyType(dict(sorted(found.items())))


def find(kind: Kind, name: str) -> type[Any]:
    """Class of that kind and name.

    Raises
    ------
    ValueError
        If there is none; the message names the nearest.
    """
    table = registered(kind)
    if name not in table:
        raise ValueError(f"there is no {kind} {name!r}; {nearest(name, table)}.")
    return table[name]
