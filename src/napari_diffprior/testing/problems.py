"""Inverse problems whose posterior is known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser


class _Gain:
    """A x = g x: the operator of the exact Gaussian problem."""

    def __init__(self, gain: Tensor) -> None:
        self.gain = gain

    def apply(self, x: Tensor) -> Tensor:
        return self.gain * x

    def adjoint(self, y: Tensor) -> Tensor:
        return self.gain * y


@dataclass(frozen=True)
class GaussianProblem:
    """A deconvolution in 32 Fourier coordinates whose posterior is known exactly.

    Prior variances .25 / (1 + (k / 4)^2), gains exp(-k^2 / 128), noise .1; images of shape (1, 1, 32).

    Parameters
    ----------
    prior : Denoiser
    measurement : Measurement
        One measurement or several, shape (M, 1, 1, 32).
    mean : Tensor, shape (M, 1, 1, 32)
        Exact posterior mean of each measurement.
    variance : Tensor, shape (1, 1, 32)
        Exact posterior variance.
    observed : Tensor of bool, shape (1, 1, 32)
        Coordinates of which the data say more than the prior: their posterior variance is below half of it.
    """

    prior: Denoiser
    measurement: Measurement
    mean: Tensor
    variance: Tensor
    observed: Tensor


def gaussian_problem(measurements: int = 1, seed: int = 0, double: bool = True) -> GaussianProblem:
    """Build the exact Gaussian problem, with measurements drawn from the model itself."""
    import torch

    from ..measurement import Measurement
    from ..noise.gaussian import Gaussian
    from ..priors.analytic import GaussianPrior

    k = torch.arange(32, dtype=torch.float64).view(1, 1, 32)
    prior, gain, noise = 0.25 / (1 + (k / 4) ** 2), torch.exp(-(k**2) / 128), 0.1
    variance = 1 / (1 / prior + (gain / noise) ** 2)
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(2, measurements, 1, 1, 32, generator=generator, dtype=torch.float64)
    y = gain * prior.sqrt() * draw[0] + noise * draw[1]
    kind = torch.float64 if double else torch.float32
    measurement = Measurement(y.to(kind), _Gain(gain.to(kind)), Gaussian(sigma=noise), (1, 1, 32))
    return GaussianProblem(
        GaussianPrior(prior.to(kind)), measurement, variance * gain * y / noise**2, variance, variance < prior / 2
    )
