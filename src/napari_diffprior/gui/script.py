"""Copy as Python: the script that gives the same pixels as the widget."""

import json
from pathlib import Path
from typing import Any

from ..params import to_dict
from ..recipe import Recipe
from ..result import QUANTILES
from .psf_rows import voxels

TEMPLATE = '''"""Restore {name} as the widget did."""

from napari_diffprior import restore
from napari_diffprior.io import read_image, write_tiff{imports}

{arrays}
result = restore({arguments})
place, story = calibration.of_part(*result.place), {{"napari-diffprior": result.provenance}}
{outputs}
'''


def script(recipe: Recipe, image: Any, mask: Any = None, psf: Any = None) -> str:
    """Python source that restores the file of a layer with these settings.

    Parameters
    ----------
    recipe : Recipe
    image : napari.layers.Image
        A layer that was not read from a file appears under its name as a TIFF, to be saved first.
    mask : napari.layers.Labels, optional
    psf : napari.layers.Image or Path, optional

    Returns
    -------
    str
        Settings that are not defaults, the seed and the samples; it ends in the file "<name> restored.tif", and in
        those of the quantiles if they were asked for.

    Raises
    ------
    ValueError, OSError
        If the file of a PSF cannot be read.
    """
    lines, names = [], []
    for name, layer in (("image", image), ("mask", mask), ("psf", psf)):
        if layer is None:
            continue
        target, rest = ("image, calibration, _", "") if name == "image" else (name, "[0]")
        lines.append(f"{target} = read_image({_file(layer)!r}){rest}{_hint(layer)}")
        if name == "psf" and (steps := voxels(layer, image, recipe.axes or "")):
            lines.append(f"psf = prepare(psf, **{steps!r})")
        names.append(name if name == "image" else f"{name}={name}")
    defaults = to_dict(Recipe())
    given = {key: value for key, value in to_dict(recipe).items() if value != defaults[key] or key in ("samples", "seed")}
    options = given.pop("options", {})
    names += [f"{key}={_literal(value)}" for key, value in {**given, **options}.items()]
    arguments = "\n    " + ",\n    ".join(names) + ",\n"
    imports = "\nfrom napari_diffprior.psf import prepare" if any("prepare(" in line for line in lines) else ""
    outputs = _outputs(recipe, image.name)
    return TEMPLATE.format(name=image.name, imports=imports, arrays="\n".join(lines), arguments=arguments, outputs=outputs)


def _outputs(recipe: Recipe, name: str) -> str:
    """Source that writes the images of the result."""
    images = {"restored": "mean"}
    if recipe.quantiles and recipe.samples > 1:
        images |= {f"{100 * level:.0f} %": f"quantile({level})" for level in QUANTILES.values()}
    return "\n".join(f"write_tiff({f'{name} {kind}.tif'!r}, result.{what}, place, story)" for kind, what in images.items())


def _literal(value: Any) -> str:
    """Source of a JSON value; the same float comes back."""
    return repr(json.loads(json.dumps(value)))


def _file(layer: Any) -> str:
    path = layer if isinstance(layer, Path) else layer.source.path
    return str(path) if path is not None else f"{layer.name}.tif"


def _hint(layer: Any) -> str:
    return (
        ""
        if isinstance(layer, Path) or layer.source.path is not None
        else f"  # save the layer {layer.name} under this name first"
    )
