"""A run as plain data: the same settings drive the widget, a script and the command line, and can be replayed."""

from __future__ import annotations

import hashlib
from dataclasses import field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from .params import Ui, from_dict, params, to_json
from .registry import find
from .samplers.contract import Sampler


@params
class Recipe:
    """Everything that decides a restoration's pixels, but for the input arrays."""

    sampler: Annotated[str, Ui("Sampler", "posterior sampler by name")] = "decoupled"
    options: Annotated[dict[str, Any], Ui("Options", "the sampler's own parameters")] = field(default_factory=dict)
    prior: Annotated[str, Ui("Prior", "name of an embedded prior, or a folder")] = "microscopy"
    noise: Annotated[
        float | Literal["auto"], Ui("Noise", "standard deviation of the noise in the image's own units, or auto")
    ] = "auto"
    psf_sigma: Annotated[
        Annotated[float, Gt(0)] | None, Ui("PSF sigma", "Gaussian blur, standard deviation in pixels; empty: no blur", "px")
    ] = None
    samples: Annotated[int, Ge(1), Le(1000), Ui("Samples", "posterior samples, 1 to 1000; 2 or more give a std")] = 4
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

    def __post_init__(self) -> None:
        """Check the sampler's name and options now, not when the run starts."""
        self.make_sampler()
        if isinstance(self.noise, float) and not self.noise > 0:
            raise ValueError(f"the noise must be above 0 in the image's units, or auto, not {self.noise}.")

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
