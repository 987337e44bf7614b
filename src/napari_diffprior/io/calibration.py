"""Where the pixels of an array lie in the world."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

# Unit: (its name in OME-XML, its length in metres).
LENGTHS = {"pm": ("pm", 1e-12), "angstrom": ("Å", 1e-10), "nm": ("nm", 1e-9), "um": ("µm", 1e-6), "mm": ("mm", 1e-3)}
LENGTHS |= {"cm": ("cm", 1e-2), "m": ("m", 1.0)}
_OTHER_NAMES = {"µm": "um", "μm": "um", "\\u00b5m": "um", "micron": "um", "microns": "um", "micrometer": "um", "micrometre": "um"}
_OTHER_NAMES |= {"nanometer": "nm", "millimeter": "mm", "centimeter": "cm", "meter": "m", "picometer": "pm", "å": "angstrom"}
_OTHER_NAMES |= {"": "pixel", "pixels": "pixel"}


TIMES = ("ps", "ns", "us", "ms", "s", "min", "h")


@dataclass(frozen=True)
class Calibration:
    """Where the pixels of an array lie in the world.

    Parameters
    ----------
    scale : tuple of float
        Step along each axis, in its unit; positive.
    units : tuple of str
        Unit of each axis, for example "um", "s" or "pixel".
    axes : str
        One letter for each axis, for example "yx" or "tzyx"; colour is a "c" at the end.
    translate : tuple of float
        Place of the first pixel along each axis, in its unit; the origin by default.

    Raises
    ------
    ValueError
        If they do not have the same length, a letter repeats or a step is not positive.
    """

    scale: tuple[float, ...]
    units: tuple[str, ...]
    axes: str
    translate: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check the parts against each other."""
        object.__setattr__(self, "translate", self.translate or (0.0,) * len(self.axes))
        if not len(self.scale) == len(self.translate) == len(self.units) == len(self.axes) == len(set(self.axes)):
            raise ValueError(f"scale {self.scale}, units {self.units} and axes {self.axes!r} do not describe the same axes.")
        if not all(math.isfinite(step) and step > 0 for step in self.scale):
            raise ValueError(f"the scale {self.scale} has a step that is not positive.")

    @classmethod
    def pixels(cls, ndim: int, axes: str = "") -> Calibration:
        """Calibration of an array of which nothing is known: steps of one pixel.

        Parameters
        ----------
        ndim : int
            Number of axes.
        axes : str
            Their letters; the last ones of "uvtczyx" by default.
        """
        return cls((1.0,) * ndim, ("pixel",) * ndim, axes or "uvtczyx"[-ndim:])

    @property
    def anisotropy(self) -> float:
        """Step between planes over the step between pixels; 1 where there are no planes, or in no length."""
        units = {unit for letter, unit in zip(self.axes, self.units, strict=True) if letter in "zyx"}
        at = dict(zip(self.axes, self.scale if len(units) == 1 else self.lengths, strict=True))
        z, y, x = (at.get(letter) for letter in "zyx")
        return 1.0 if z is None or y is None or x is None else float(f"{2 * z / (y + x):.6g}")

    @property
    def lengths(self) -> tuple[float | None, ...]:
        """Step along each axis in micrometres; None where its unit is no length."""
        metres = [LENGTHS.get(short_unit(unit), ("", None))[1] for unit in self.units]
        return tuple(
            None if metre is None else float(f"{step * metre * 1e6:.12g}") for step, metre in zip(self.scale, metres, strict=True)
        )

    def of_part(self, first: Sequence[float], steps: Sequence[float] | None = None) -> Calibration:
        """Calibration of a part of the array, finer than it if that is said.

        Parameters
        ----------
        first : sequence of float
            Centre of the part's first pixel, in pixels of the array.
        steps : sequence of float, optional
            Distance of the part's pixels, in pixels of the array; 1 by default.
        """
        moved = tuple(t + s * index for t, s, index in zip(self.translate, self.scale, first, strict=True))
        finer = tuple(s * step for s, step in zip(self.scale, steps or (1,) * len(self.scale), strict=True))
        return replace(self, translate=moved, scale=finer)

    def reordered(self, axes: str) -> Calibration:
        """Calibration of the array with the same axes in another order."""
        order = [self.axes.index(letter) for letter in axes]
        scale, translate = (tuple(values[i] for i in order) for values in (self.scale, self.translate))
        return Calibration(scale, tuple(self.units[i] for i in order), axes, translate)

    def with_samples(self) -> Calibration:
        """Calibration of samples of the array, along a first axis "s"."""
        return Calibration((1.0, *self.scale), ("pixel", *self.units), "s" + self.axes, (0.0, *self.translate))

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {"scale": self.scale, "units": self.units, "axes": self.axes, "translate": self.translate}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Calibration:
        """From JSON types; without a place it is the origin."""
        scale, units, translate = (tuple(record.get(name, ())) for name in ("scale", "units", "translate"))
        return cls(scale, units, record["axes"], translate)


def short_unit(name: str) -> str:
    """Usual short name of a unit, for example "um" for "micrometer"."""
    return _OTHER_NAMES.get(name.strip().lower(), name)


def voxels(psf: Calibration, image: Calibration) -> dict[str, Any]:
    """Voxel sizes of a PSF and of an image, as ``psf.prepare`` takes them.

    Parameters
    ----------
    psf : Calibration
        Its axes are z, y, x or y, x whatever their letters, as a PSF is used.
    image : Calibration
        Its letters say which axes are z, y and x.

    Returns
    -------
    dict
        ``voxel`` and ``image_voxel`` in micrometres; 1 for both along an axis where one of them is in no unit of length.
        Empty where there is nothing to resample.
    """
    steps = dict(zip(image.axes, image.lengths, strict=True))
    pairs = [(own, steps.get(letter)) for own, letter in zip(psf.lengths, "zyx"[-len(psf.axes) :], strict=False)]
    known = [(1.0, 1.0) if own is None or step is None else (own, step) for own, step in pairs]
    if all(own == step for own, step in known):
        return {}
    return {"voxel": tuple(own for own, _ in known), "image_voxel": tuple(step for _, step in known)}
