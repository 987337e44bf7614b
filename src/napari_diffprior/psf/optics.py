"""PSF of a microscope from its optics: the scalar model of Gibson and Lanni."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt

from ..params import Ui, params

Array = np.ndarray[Any, np.dtype[np.float64]]


@params
class Optics:
    """Objective, mounting and light; lengths in micrometres. What is called nominal is what the objective is made for."""

    na: Annotated[float, Gt(0), Ui("NA", "numerical aperture of the objective")]
    wavelength: Annotated[float, Gt(0), Ui("Wavelength", "of the emitted light in vacuum", "um")]
    excitation: Annotated[
        Annotated[float, Gt(0)] | None, Ui("Excitation", "wavelength of a confocal with a small pinhole; empty: wide field", "um")
    ] = None
    depth: Annotated[float, Ge(0), Ui("Depth", "of the point below the coverslip", "um")] = 0.0
    sample: Annotated[float, Ge(1), Ui("Sample index", "refractive index of the mounting medium")] = 1.33
    immersion: Annotated[float, Ge(1), Ui("Immersion index", "refractive index of the immersion")] = 1.515
    nominal_immersion: Annotated[float, Ge(1), Ui("Nominal immersion index")] = 1.515
    coverslip: Annotated[float, Ge(1), Ui("Coverslip index", "refractive index of the coverslip")] = 1.515
    nominal_coverslip: Annotated[float, Ge(1), Ui("Nominal coverslip index")] = 1.515
    thickness: Annotated[float, Ge(0), Ui("Coverslip thickness", "", "um")] = 170.0
    nominal_thickness: Annotated[float, Ge(0), Ui("Nominal coverslip thickness", "", "um")] = 170.0
    working_distance: Annotated[float, Gt(0), Ui("Working distance", "thickness of the immersion", "um")] = 150.0

    def __post_init__(self) -> None:
        """Refuse an aperture that the immersion cannot have."""
        if self.na >= min(self.immersion, self.nominal_immersion, self.coverslip, self.nominal_coverslip):
            raise ValueError(f"an NA of {self.na} needs an immersion and a coverslip of a higher refractive index.")

    def path(self, rho: Array, z: Array) -> Array:
        """Optical path difference in micrometres, shape (len(z), len(rho)), complex where the sample reflects all.

        Gibson & Lanni 1992, equations 2 to 5: the aberration of a point at ``depth`` when the stage stands ``z`` from
        where its paraxial image is in focus, for rays at the share ``rho`` of the aperture.
        """
        sine = (self.na * rho) ** 2

        def along(index: float) -> Array:
            root: Array = np.sqrt((index**2 - sine).astype(complex))
            return root

        nominal = self.nominal_thickness / self.nominal_coverslip + self.working_distance / self.nominal_immersion
        gap = self.immersion * (nominal - self.thickness / self.coverslip - self.depth / self.sample) - z[:, None]
        fixed = self.depth * along(self.sample) + self.thickness * along(self.coverslip)
        fixed = fixed - self.nominal_thickness * along(self.nominal_coverslip)
        fixed = fixed - self.working_distance * along(self.nominal_immersion)
        path: Array = fixed + gap * along(self.immersion)
        return path


def radial_intensity(optics: Optics, wavelength: float, r: Array, z: Array) -> Array:
    """Intensity |2 int_0^1 J0(k NA r rho) exp(i k W(rho, z)) rho d rho|^2, shape (len(z), len(r)); 1 in an ideal focus.

    By Gauss-Legendre quadrature with as many nodes as the fastest phase needs.

    Parameters
    ----------
    optics : Optics
    wavelength : float
        In vacuum, micrometres.
    r, z : ndarray
        Distance from the axis, and of the stage from the paraxial focus, micrometres.
    """
    from scipy.special import j0

    k = 2 * math.pi / wavelength
    swing = np.ptp(optics.path(np.linspace(0, 1, 65), z).real, axis=1).max() + optics.na * r.max()
    nodes, weights = np.polynomial.legendre.leggauss(48 + int(k * swing))
    rho, weights = (nodes + 1) / 2, weights / 2
    waves = np.exp(1j * k * optics.path(rho, z)) * rho * weights
    field = 2 * waves @ j0(k * optics.na * np.outer(rho, r))
    intensity: Array = np.abs(field) ** 2
    return intensity


def optics_psf(optics: Optics, shape: Sequence[int], voxel: Sequence[float]) -> Array:
    """Sampled PSF of a microscope.

    Parameters
    ----------
    optics : Optics
    shape : (int, int) or (int, int, int)
        In voxels; the point lies on the voxel n // 2 of each axis. 2-D is the plane of the paraxial focus.
    voxel : sequence of float
        Step along each axis, micrometres; along z that of the stage.

    Returns
    -------
    ndarray of this shape
        Sum 1. With ``excitation``, the product of the intensities of both wavelengths.

    Raises
    ------
    ValueError
        If shape and voxel do not fit each other.

    References
    ----------
    Gibson & Lanni 1992, J. Opt. Soc. Am. A 9, 154. The confocal product is that of an infinitely small pinhole.
    """
    from scipy.interpolate import CubicSpline

    if len(shape) not in (2, 3) or len(voxel) != len(shape) or min(shape) < 1 or min(voxel) <= 0:
        raise ValueError(f"a PSF of shape {tuple(shape)} needs as many positive voxel sides, not {tuple(voxel)}.")
    y, x = (step * (np.arange(side) - side // 2) for step, side in zip(voxel[-2:], shape[-2:], strict=True))
    z: Array = voxel[0] * (np.arange(shape[0], dtype=np.float64) - shape[0] // 2) if len(shape) == 3 else np.zeros(1)
    distance = np.hypot(y[:, None], x)
    fine = min(optics.wavelength, optics.excitation or optics.wavelength) / optics.na / 40  # 20 and more to a fringe
    r: Array = np.arange(0, distance.max() + 4 * fine, fine)
    psf = np.ones((len(z), *distance.shape))
    for wavelength in (optics.wavelength, optics.excitation):
        if wavelength is not None:
            psf *= CubicSpline(r, radial_intensity(optics, wavelength, r, z), axis=1)(distance).clip(0)
    sampled: Array = (psf / psf.sum()).reshape(shape)
    return sampled
