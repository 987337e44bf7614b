"""Settings in a file: a recipe as YAML or JSON, which the widgets, the command line and a script read alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .params import from_dict, to_dict
from .recipe import Recipe

SUFFIXES = (".yaml", ".yml", ".json")


def write_recipe(path: str | Path, recipe: Recipe) -> None:
    """Write a recipe; a file of that name is replaced at the very end.

    Parameters
    ----------
    path : str or Path
        Ends in .yaml, .yml or .json.
    recipe : Recipe

    Raises
    ------
    ValueError
        If the name ends otherwise.
    OSError
        If the file cannot be written.
    """
    import yaml

    from .io import check_writable, replacing

    path = Path(path)
    check_writable(path, SUFFIXES)
    plain = to_dict(recipe)
    text = json.dumps(plain, indent=2) + "\n" if path.suffix.lower() == ".json" else yaml.safe_dump(plain, sort_keys=False)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_recipe(path: str | Path) -> Recipe:
    """Recipe of a file that `write_recipe` wrote, or of a TIFF that carries one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a recipe; one sentence says what is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no settings file {path}.")
    settings = _plain(path)
    if not isinstance(settings, dict):
        raise ValueError(f"{path} holds no settings: save some from the widget, or write them as name: value.")
    return from_dict(Recipe, settings)


def _plain(path: Path) -> Any:
    """Content of a settings file; YAML reads JSON too."""
    import yaml

    from .io import TIFF_SUFFIXES, read_metadata

    if path.suffix.lower() in TIFF_SUFFIXES:
        return read_metadata(path).get("napari-diffprior", {}).get("recipe")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is neither YAML nor JSON: {' '.join(str(error).split())}") from error
