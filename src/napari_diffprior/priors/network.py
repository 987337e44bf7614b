"""A diffusers network as a denoiser in sigma space."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from .covariance import Stationary
    from .coverage import CoverageTable
    from .levels import Levels
    from .sigma import SigmaTable
    from .spectrum import SpectrumTable

Prediction = Literal["epsilon", "v_prediction", "sample"]


class NetworkPrior:
    """Denoiser D(x, sigma) made of a network that was trained on a variance-preserving schedule.

    With c = 1 / sqrt(1 + sigma^2), input c x and time t(sigma), the output F gives D = x - sigma F (epsilon),
    D = c^2 x - sigma c F (v_prediction; Salimans & Ho 2022), D = F (sample). A network with twice the channels
    also learned its variance (Nichol & Dhariwal 2021); that half is not used.

    Parameters
    ----------
    network : callable
        ``network(x, t).sample``, as diffusers' UNet2DModel.
    table : SigmaTable
    prediction : {"epsilon", "v_prediction", "sample"}
    patch : tuple of int
        Spatial shape that it was trained on.
    channels : int
    spectrum : SpectrumTable, optional
        Measured error spectra; without them the error is taken as white, sigma^2 / (1 + sigma^2).
    multiple : int
        Image sides must be multiples of this; the wrapper pads and crops.
    precision : {"float32", "bfloat16"}
        Precision inside the network; inputs and outputs keep theirs.

    Attributes
    ----------
    coverage : CoverageTable or None
        Measured factors on the standard deviation between samples.
    levels : Levels or None
        Means of the patches that it was trained on, for grey ones.
    label : int or None
        Class of a class-conditional network, the same for every call.
    """

    ndim = 2
    coverage: CoverageTable | None = None
    levels: Levels | None = None
    label: int | None = None

    def __init__(
        self,
        network: Any,
        table: SigmaTable,
        prediction: Prediction,
        patch: tuple[int, ...] | None,
        channels: int = 1,
        spectrum: SpectrumTable | None = None,
        multiple: int = 1,
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        self.network, self.table, self.prediction, self.spectrum = network, table, prediction, spectrum
        self.patch, self.channels, self.multiple, self.precision = patch, channels, multiple, precision
        self.sigma_min, self.sigma_max = table.sigma_min, table.sigma_max

    def _time(self, sigma: Tensor) -> Tensor:
        return self.table.timestep(sigma)

    def _scales(self, level: Tensor) -> tuple[Tensor, Tensor | float, Tensor]:
        """(c_in, c_skip, c_out) with D = c_skip x + c_out F(c_in x, t)."""
        c = (1 + level**2).rsqrt()
        if self.prediction == "epsilon":
            return c, 1.0, -level
        if self.prediction == "v_prediction":
            return c, c**2, -level * c
        return c, 0.0, level.new_ones(level.shape)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """E[x0 | x0 + sigma n = x] for x of shape (B, C, H, W) and sigma of shape (B,)."""
        c_in, c_skip, c_out = self._scales(sigma.view(-1, 1, 1, 1))
        inner, crop = pad_to_multiple(c_in * x, self.multiple)
        with self._autocast(x):
            own = getattr(self.network, "dtype", x.dtype) if self.precision == "float32" else x.dtype
            output = self.network(inner.to(own), self._time(sigma).to(own), **self._classes(x)).sample
        output = output[:, : self.channels].to(x.dtype)[crop]
        denoised: Tensor = c_skip * x + c_out * output
        return denoised

    def _classes(self, x: Tensor) -> dict[str, Tensor]:
        import torch

        if self.label is None:
            return {}
        return {"class_labels": torch.full((len(x),), self.label, dtype=torch.long, device=x.device)}

    def _autocast(self, x: Tensor) -> Any:
        import torch

        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(x.device.type, torch.bfloat16)

    def error(self, sigma: float, shape: Sequence[int], like: Tensor) -> Stationary:
        """Measured covariance of the denoiser's error."""
        from .spectrum import white_spectrum

        return (self.spectrum or white_spectrum(self.sigma_min, self.sigma_max)).covariance(sigma, shape, like)

    def coverage_factor(self, sigma: float, sharpness: float = 1.0, level: float = 0.9) -> float | None:
        """Factor on the standard deviation between samples; None if it was not measured for such data.

        Parameters
        ----------
        sigma : float
            Standard deviation of the measurement's noise, model units, above 0.
        sharpness : float
            Share of the fine detail that the measurement passes, see ``Measurement.sharpness``.
        level : float
            Share of the cases in which the interval must hold the truth.
        """
        return None if self.coverage is None else self.coverage.at(sigma, sharpness, level)


def round_weights(network: Any) -> None:
    """Round the weights of convolutions and linear maps to bfloat16, in place, as autocast would in each call."""
    import torch

    for module in network.modules():
        if isinstance(module, (torch.nn.modules.conv._ConvNd, torch.nn.Linear)) or hasattr(module, "merged"):
            module.to(torch.bfloat16)


class EdmPrior(NetworkPrior):
    """Denoiser with the preconditioning of Karras et al. 2022, table 1 (diffusers' EDMEulerScheduler).

    D = c_skip x + c_out F(c_in x, ln(sigma) / 4), with c_skip = s^2 / (sigma^2 + s^2),
    c_out = sigma s / sqrt(sigma^2 + s^2), c_in = 1 / sqrt(sigma^2 + s^2); s = ``sigma_data``.
    """

    sigma_data = 0.5

    def _time(self, sigma: Tensor) -> Tensor:
        return sigma.log() / 4

    def _scales(self, level: Tensor) -> tuple[Tensor, Tensor | float, Tensor]:
        c_in = (level**2 + self.sigma_data**2).rsqrt()
        sign = -1.0 if self.prediction == "v_prediction" else 1.0
        return c_in, (self.sigma_data * c_in) ** 2, sign * level * self.sigma_data * c_in


def pad_to_multiple(x: Tensor, multiple: int) -> tuple[Tensor, tuple[Any, ...]]:
    """Pad the last two axes to multiples by reflection, or by repeating the edge where there is too little.

    Returns
    -------
    padded : Tensor
    crop : tuple of slice
        Index that undoes the padding.
    """
    from torch.nn.functional import pad

    height, width = x.shape[-2:]
    below, right = -height % multiple, -width % multiple
    crop = (..., slice(0, height), slice(0, width))
    if not below and not right:
        return x, crop
    mode = "reflect" if below < height and right < width else "replicate"
    return pad(x, (0, right, 0, below), mode=mode), crop
