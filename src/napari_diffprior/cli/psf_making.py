"""The commands ``psf optics`` and ``psf beads``: files that ``restore --psf`` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from .app import app
from .terminal import say

psf = App(name="psf", help="Make a point spread function, from the microscope's optics or from an image of beads.")
app.command(psf)

Output = Annotated[Path, Parameter(name=["--output", "-o"])]
Json = Annotated[bool, Parameter(name="--json", negative="")]


@psf.command
def optics(
    *,
    output: Output,
    na: float,
    wavelength: float,
    voxel: Annotated[tuple[float, ...], Parameter(consume_multiple=True, negative="")],
    shape: Annotated[tuple[int, ...], Parameter(consume_multiple=True, negative="")] = (33, 65, 65),
    excitation: float | None = None,
    depth: float = 0.0,
    sample: float = 1.33,
    immersion: float = 1.515,
    coverslip_thickness: float = 170.0,
    json_: Json = False,
) -> None:
    """PSF of a microscope after Gibson and Lanni; all lengths in micrometres.

    Parameters
    ----------
    output
        TIFF for the PSF.
    na
        Numerical aperture.
    wavelength
        Of the emitted light.
    voxel
        Voxel size of the image: z y x, or y x.
    shape
        Voxels along each axis.
    excitation
        Wavelength of the exciting light of a confocal with a small pinhole; without it the PSF is that of a wide field.
    depth
        Depth of the object below the coverslip.
    sample
        Refractive index of the mounting medium.
    immersion
        Refractive index of the immersion.
    coverslip_thickness
        Where it is not the 170 um that the objective is made for.
    json_
        End with one line of JSON.
    """
    from ..params import to_dict
    from ..psf.optics import Optics, optics_psf

    model = Optics(
        na=na,
        wavelength=wavelength,
        excitation=excitation,
        depth=depth,
        sample=sample,
        immersion=immersion,
        nominal_immersion=immersion,
        thickness=coverslip_thickness,
    )
    _write(output, optics_psf(model, shape[-len(voxel) :], voxel), voxel, ("um",) * len(voxel), {"optics": to_dict(model)}, json_)


@psf.command
def beads(
    image: Path,
    /,
    *,
    output: Output,
    size: Annotated[tuple[int, ...], Parameter(consume_multiple=True, negative="")],
    json_: Json = False,
) -> None:
    """PSF from an image of beads: the average of those that stand alone.

    Parameters
    ----------
    image
        2-D image or stack of beads smaller than the resolution.
    output
        TIFF for the PSF; it has the voxel size of the image.
    size
        Window around a bead, odd, in voxels: z y x, or y x.
    json_
        End with one line of JSON.
    """
    from ..io import read_image
    from ..psf.beads import psf_from_beads

    values, calibration, _ = read_image(image)
    found = psf_from_beads(values, size)
    story = {"image": str(image), "done": list(found.done)}
    _write(output, found.values, calibration.scale, calibration.units, story, json_)


def _write(
    output: Path, values: Any, voxel: tuple[float, ...], units: tuple[str, ...], story: dict[str, Any], as_json: bool
) -> None:
    import numpy as np

    from ..io import TIFF_SUFFIXES, Calibration, check_writable, write_tiff

    check_writable(output, TIFF_SUFFIXES)
    calibration = Calibration(voxel, units, "zyx"[-values.ndim :])
    write_tiff(output, values.astype(np.float32), calibration, {"napari-diffprior": {"psf": story}})
    say({"output": str(output), "shape": list(values.shape), **story}, as_json)
