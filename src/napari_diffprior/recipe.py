"""A run as plain data: the same settings drive the widget, a script and the command line, and can be replayed."""

from __future__ import annotations

import hashlib
from dataclasses import field, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from annotated_types import Ge, Gt, Le

from .params import Ui, from_dict, params, to_json
from .registry import find
from .samplers.contract import Sampler

if TYPE_CHECKING:
    import numpy as np

    from .noise.contract import NoiseModel


@params
class Recipe:
    """Everything that decides a restoration's pixels and which of its images are kept, but for the input arrays."""

    sampler: Annotated[str, Ui("Sampler", "posterior sampler by name")] = "decoupled"
    options: Annotated[dict[str, Any], Ui("Options", "the sampler's own parameters")] = field(default_factory=dict)
    prior: Annotated[str, Ui("Prior", "name of an embedded prior, or a folder")] = "microscopy"
    noise: Annotated[
        float | str, Ui("Noise", "standard deviation in the image's own units, auto, poisson or poisson-gaussian")
    ] = "auto"
    gain: Annotated[
        Annotated[float, Gt(0)] | None, Ui("Gain", "of a camera, grey levels of one photo-electron; empty: estimated")
    ] = None
    offset: Annotated[float | None, Ui("Offset", "of a camera, grey level without light; empty: estimated")] = None
    read_noise: Annotated[
        Annotated[float, Ge(0)] | None, Ui("Read noise", "of a camera, deviation in the dark in grey levels; empty: estimated")
    ] = None
    saturation: Annotated[
        float | Literal["auto"] | None,
        Ui(
            "Saturation",
            "grey level that says at least so much light; auto: the camera's ceiling, if pixels lie at it; empty: none",
        ),
    ] = "auto"
    hot_pixels: Annotated[
        bool, Ui("Hot pixels", "find single pixels that stand out of their neighbours, and take them as missing")
    ] = False
    psf_sigma: Annotated[
        Annotated[float, Gt(0)] | None, Ui("PSF sigma", "Gaussian blur, standard deviation in pixels; empty: no blur", "px")
    ] = None
    anisotropy: Annotated[
        float, Gt(0), Ui("Anisotropy", "of a stack that a 3-D PSF blurs: step between planes over step between pixels")
    ] = 1.0
    upsample: Annotated[
        Literal[1, 2, 3, 4],
        Ui("Factor", "pixels of the result along a side of a measured one, which is the mean of them: 2 to 4"),
    ] = 1
    samples: Annotated[int, Ge(1), Le(1000), Ui("Samples", "posterior samples, 1 to 1000, better even; 2 or more give a std")] = 4
    seed: Annotated[int, Ge(0), Ui("Seed", "seed of the noise; the same seed gives the same pixels")] = 0
    device: Annotated[str, Ui("Device", "auto, cpu, cuda or mps")] = "auto"
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], Ui("Precision", "inside the network; auto: what the hardware does natively")
    ] = "auto"
    batch: Annotated[Annotated[int, Ge(1)] | None, Ui("Batch", "samples drawn at once; empty: by image size")] = None

    axes: Annotated[str | None, Ui("Axes", "a letter for each axis of the image, such as tczyx; empty: from its shape")] = None
    region: Annotated[
        dict[str, tuple[int, int]] | None, Ui("Region", "first index and end by axis, such as y 0 to 64; empty: all", "px")
    ] = None
    keep_samples: Annotated[
        bool | None, Ui("Keep samples", "keep the samples beside mean and std; empty: where they fit into 128 MB")
    ] = None
    quantiles: Annotated[
        bool, Ui("5 % and 95 % layers", "also give the ends of the interval of 90 % as layers; needs 2 samples or more")
    ] = False

    def __post_init__(self) -> None:
        """Check the sampler's name and options now, not when the run starts."""
        self.make_sampler()
        self._check_noise()

    def _check_noise(self) -> None:
        """A number above 0, auto, or a noise model that can be estimated, with parameters that it has."""
        if isinstance(self.noise, float) and not self.noise > 0:
            raise ValueError(f"the noise must be above 0 in the image's units, or auto, not {self.noise}.")
        model = self._noise_class()
        for name in self._camera():
            if name not in {entry.name for entry in fields(model)}:
                raise ValueError(f"the noise {self.noise!r} has no {name}: choose poisson-gaussian.")

    def _noise_class(self) -> type[Any]:
        named = isinstance(self.noise, str) and self.noise != "auto"
        return find("noise", str(self.noise).replace("-", "_") if named else "gaussian")

    def _camera(self) -> dict[str, float]:
        """What is known of the camera."""
        settings = {"gain": self.gain, "offset": self.offset, "read_noise": self.read_noise}
        return {name: value for name, value in settings.items() if value is not None}

    def make_noise(self, image: np.ndarray[Any, Any], measured: np.ndarray[Any, Any]) -> NoiseModel:
        """Noise model of an image in its own units: as given, or estimated from it.

        Parameters
        ----------
        image : ndarray, shape (H, W)
        measured : ndarray of bool, shape (H, W)

        Raises
        ------
        ValueError
            If the noise cannot be estimated.
        """
        if isinstance(self.noise, float):
            return cast("NoiseModel", self._noise_class()(sigma=self.noise))
        return cast("NoiseModel", self._noise_class().estimate(image, measured, self._camera()))

    def make_sampler(self) -> Sampler:
        """Sampler with its parameters.

        Raises
        ------
        ValueError
            For an unknown sampler or parameter, with the nearest names.
        """
        sampler: Sampler = from_dict(find("sampler", self.sampler), self.options)
        return sampler

    def fingerprint(self) -> str:
        """Short hash of the settings."""
        return hashlib.sha256(to_json(self).encode()).hexdigest()[:16]
