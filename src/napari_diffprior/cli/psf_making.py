"""The commands ``psf gaussian``, ``psf optics`` and ``psf beads``: files that ``restore --psf`` takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from .app import app
from .terminal import say

psf = App(name="psf", help="Make a point spread function, from its width, the microscope's optics or an image of beads.")
app.command(psf)

Output = Annotated[Path, Parameter(name=["--output", "-o"])]
Json = Annotated[bool, Parameter(name="--json", negative="")]
Sides = Annotated[tuple[float, ...], Parameter(consume_multiple=True, negative="")]


@psf.command
def gaussian(*, output: Output, fwhm: Sides, voxel: Sides, json_: Json = False) -> None:
    """Gaussian PSF of given full widths at half maximum; all lengths in micrometres.

    Parameters
    ----------
    output
        TIFF for the PSF.
    fwhm
        Full width at half maximum along each axis: z y x, or y x.
    voxel
        Voxel size of the image along the same axes.
    json_
        End with one line of JSON.
    """
    from ..psf.models import gaussian_from_fwhm

    if len(fwhm) not in (2, 3):
        raise ValueError(f"--fwhm takes the widths along z, y and x, or y and x, not {len(fwhm)}.")
    _write(output, gaussian_from_fwhm(fwhm, voxel), voxel, ("um",) * len(voxel), {"fwhm": list(fwhm)}, json_)


@Parameter(name="*")
@dataclass(frozen=True)
class Mounting:
    """What lies between the object and the objective, and what the objective is made for, which is called nominal.

    Parameters
    ----------
    depth
        Depth of the object below the coverslip.
    sample
        Refractive index of the mounting medium.
    immersion
        Refractive index of the immersion.
    nominal_immersion
        That which the objective is made for; by default the actual one.
    coverslip
        Refractive index of the coverslip.
    nominal_coverslip
        That which the objective is made for; by default the actual one.
    coverslip_thickness
        Where it is not what the objective is made for.
    nominal_coverslip_thickness
        That which the objective is made for.
    working_distance
        Thickness of the immersion between the objective and the nominal coverslip.
    """

    depth: float = 0.0
    sample: float = 1.33
    immersion: float = 1.515
    nominal_immersion: float | None = None
    coverslip: float = 1.515
    nominal_coverslip: float | None = None
    coverslip_thickness: float | None = None
    nominal_coverslip_thickness: float = 170.0
    working_distance: float = 150.0

    def settings(self) -> dict[str, Any]:
        """As ``Optics`` takes them."""
        given = asdict(self)
        thickness, nominal = given.pop("coverslip_thickness"), given.pop("nominal_coverslip_thickness")
        for name in ("immersion", "coverslip"):
            if given[f"nominal_{name}"] is None:
                given[f"nominal_{name}"] = given[name]
        return {**given, "thickness": nominal if thickness is None else thickness, "nominal_thickness": nominal}


@psf.command
def optics(
    *,
    output: Output,
    na: float,
    wavelength: float,
    voxel: Sides,
    shape: Annotated[tuple[int, ...], Parameter(consume_multiple=True, negative="")] = (33, 65, 65),
    excitation: float | None = None,
    mounting: Mounting = Mounting(),
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
    json_
        End with one line of JSON.
    """
    from ..params import from_dict, to_dict
    from ..psf.optics import Optics, optics_psf

    model = from_dict(Optics, {"na": na, "wavelength": wavelength, "excitation": excitation, **mounting.settings()})
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
