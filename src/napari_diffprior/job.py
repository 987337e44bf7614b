"""A checked input, ready to be sampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .intensity import Intensity
from .measurement import Measurement
from .operators.contract import Operator, domain_of, extract
from .recipe import Recipe
from .richardson_lucy import sharpened

if TYPE_CHECKING:
    from torch import Tensor

    from .noise.contract import NoiseModel
    from .psf import PSF

Array = np.ndarray[Any, Any]
COARSEST = 0.01  # step of float32 at an image's values, as a share of their range


@dataclass(frozen=True)
class Job:
    """A checked input, ready to be sampled.

    Parameters
    ----------
    measurement : Measurement
    intensity : Intensity
    model : NoiseModel
        In image units.
    blur : Operator, optional
    shape : tuple of int
        Spatial shape of the result.
    found : dict
        What was found out about image and PSF; JSON types.
    """

    measurement: Measurement
    intensity: Intensity
    model: NoiseModel
    blur: Operator | None
    shape: tuple[int, ...]
    found: dict[str, Any]

    @property
    def noise(self) -> float:
        """Standard deviation of the noise in image units; the root mean variance where it differs between pixels."""
        return float(getattr(self.model, "sigma", self.measurement.sigma * self.intensity.scale))

    @property
    def facts(self) -> dict[str, Any]:
        """What was found out about the image, for the provenance; JSON types."""
        from .params import to_dict

        return {"noise_model": to_dict(self.model), **self.found}

    def to_image(self, x0: Tensor) -> Array:
        """Estimates (B, 1, [D,] H, W) as (B, [d,] h, w), float32, in image units, without the unknown border of a blur."""
        visible = x0 if self.blur is None else extract(self.blur, x0)
        pixels: Array = self.intensity.to_image(visible[:, 0]).float().cpu().numpy()
        return pixels


def check_input(image: Any, mask: Any = None, axes: str = "yx") -> tuple[Array, Array]:
    """Image of these axes as float and the measured pixels as bool.

    Raises
    ------
    ValueError
        One sentence that says what is wrong with image or mask and what to do.
    """
    if np.ndim(image) != len(axes):  # before a large stack is read
        part = "grey 2-D plane" if len(axes) == 2 else "grey 3-D stack"
        raise ValueError(f"the image has {np.ndim(image)} axes: choose one {part} of it.")
    pixels = np.asarray(image)
    if pixels.dtype.kind not in "buif":
        raise ValueError(f"the image holds {pixels.dtype}: give real numbers.")
    pixels = pixels.astype(np.float32 if np.can_cast(pixels.dtype, np.float32) else np.float64)
    measured = np.ones(pixels.shape, bool) if mask is None else np.asarray(mask) == 0
    if measured.shape != pixels.shape:
        raise ValueError(f"the mask has the shape {measured.shape}, the image {pixels.shape}: they must be equal.")
    if not measured.any():
        raise ValueError("the mask covers the whole image: nothing is left to measure; unpaint some pixels.")
    if not np.isfinite(pixels[measured]).all():
        raise ValueError("the image has NaN or infinite pixels outside the mask: paint them in the mask, or replace them.")
    low, high = float(pixels[measured].min()), float(pixels[measured].max())
    if low == high:
        raise ValueError("the image is constant: there is nothing to restore.")
    if np.spacing(np.float32(max(abs(low), abs(high)))) > COARSEST * (high - low):
        raise ValueError(
            f"the values {low:.9g} to {high:.9g} lie too far from 0 to be told apart in float32: subtract the lowest."
        )
    return np.where(measured, pixels, pixels.dtype.type(0)), measured


def leave_out(image: Any, pixels: Array, measured: Array, recipe: Recipe) -> tuple[Array, Array, dict[str, Any]]:
    """Which of the measured pixels say how much light there was, and which only that there was at least so much.

    Parameters
    ----------
    image : array_like
        As it was given, in its own kind of number.
    pixels, measured : ndarray
        What ``check_input`` made of it.
    recipe : Recipe

    Returns
    -------
    measured : ndarray of bool
        Without hot pixels, if the recipe wants that.
    saturated : ndarray of bool
        Measured pixels at the ceiling or above.
    found : dict
        Level and numbers of pixels, as far as there are any.

    Raises
    ------
    ValueError
        If no pixel lies below the ceiling.
    """
    from .noise.defects import hot_pixels, saturation_level

    found: dict[str, Any] = {}
    if recipe.hot_pixels:
        hot = hot_pixels(pixels, measured)
        measured, found = measured & ~hot, {"hot_pixels": int(hot.sum())}
    level = saturation_level(np.asarray(image), measured) if recipe.saturation == "auto" else recipe.saturation
    saturated = np.zeros_like(measured) if level is None else measured & (pixels >= level)
    if saturated.any():
        found |= {"saturation": level, "saturated_pixels": int(saturated.sum())}
    if not (measured & ~saturated).any():
        raise ValueError(f"no measured pixel lies below the saturation of {level:g}: give a higher level, or none.")
    return measured, saturated, found


def make_job(
    image: Any, mask: Any, psf: Any, recipe: Recipe, device: str = "cpu", poll: Callable[[], object] = lambda: None
) -> Job:
    """Measurement of an image with an optional mask (non-zero = missing) and an optional PSF; 3-D if the PSF is.

    ``poll`` is called where that takes long, and may raise to end it.

    Raises
    ------
    ValueError
        If image, mask or PSF cannot be used.
    """
    import torch

    from .operators.blur import Blur
    from .operators.compose import Compose
    from .operators.downsample import Downsample
    from .operators.identity import Identity
    from .operators.mask import Mask
    from .psf import axes_of

    pixels, measured = check_input(image, mask, axes_of(psf))
    measured, saturated, found = leave_out(image, pixels, measured, recipe)
    pixels = np.where(saturated, found.get("saturation", 0.0), pixels).astype(pixels.dtype)
    telling = measured & ~saturated
    noise = recipe.make_noise(*(array.reshape(-1, array.shape[-1]) for array in (pixels, telling)))  # a stack: plane under plane
    model = _censored(noise, pixels, measured, saturated, device) if saturated.any() else noise
    ready = _psf(psf, recipe, pixels.shape)
    fine = tuple(recipe.upsample * side for side in pixels.shape)
    blur = None if ready is None else Blur(torch.as_tensor(ready.values, dtype=torch.float32, device=device), fine)
    parts: list[Operator] = [] if blur is None else [blur]  # in the order in which they act
    if recipe.upsample > 1:
        parts.append(Downsample(recipe.upsample, pixels.shape))
    gaps = Identity() if measured.all() else Mask(torch.as_tensor(measured, device=device))
    if not measured.all():
        parts.append(gaps)
    operator: Operator = Compose(*reversed(parts)) if len(parts) > 1 else parts[0] if parts else Identity()
    shape = (1, *domain_of(operator, pixels.shape))

    def in_range(intensity: Intensity) -> Tensor:
        return gaps.apply(torch.as_tensor(intensity.to_model(pixels), dtype=torch.float32, device=device)[None, None])

    intensity, estimate = Intensity.of(pixels[measured]), None
    if blur is not None and len(shape) == 3:
        intensity = intensity.before_blur(in_range(intensity), operator, shape)
    elif blur is not None:
        sharp = sharpened(Measurement(in_range(intensity), operator, intensity.noise_to_model(model), shape), poll)
        wider = intensity.reaching(extract(operator, sharp))
        intensity, estimate = wider, wider.to_model(intensity.to_image(sharp))
    measurement = Measurement(in_range(intensity), operator, intensity.noise_to_model(model), shape, estimate)
    said = {"psf": list(ready.done)} if ready is not None and ready.done else {}
    return Job(measurement, intensity, noise, blur, fine, {**found, **said})


def _censored(noise: NoiseModel, pixels: Array, measured: Array, saturated: Array, device: str) -> NoiseModel:
    """The same noise, for which a saturated pixel is a lower bound."""
    import torch

    from .noise.censored import Censored

    ceiling = torch.as_tensor(np.where(saturated, pixels, np.inf), dtype=torch.float32, device=device)[None, None]
    return Censored(noise, ceiling if measured.all() else ceiling[..., torch.as_tensor(measured, device=device)])


def _psf(psf: Any, recipe: Recipe, shape: tuple[int, ...]) -> PSF | None:
    """PSF on the grid of the result, from one in pixels of the image."""
    from .psf import PSF, gaussian_psf, prepare

    factor = recipe.upsample
    if recipe.psf_sigma is None:
        return None if psf is None else prepare(psf, image_shape=shape).refined(factor)
    if psf is not None:
        raise ValueError("give a PSF or a PSF sigma, not both.")
    return prepare(PSF(gaussian_psf(factor * recipe.psf_sigma)), image_shape=[factor * side for side in shape])
