"""Inverse problems whose posterior is known exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.analytic import GaussianMixturePrior
    from ..priors.contract import Denoiser

MIXTURE_NOISE = 0.5


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
    """A Gaussian problem whose posterior is known exactly; images of shape (1, 1, 32).

    Parameters
    ----------
    prior : Denoiser
    measurement : Measurement
        One measurement or several, M in all.
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
    """A deconvolution in 32 Fourier coordinates, with measurements drawn from the model itself.

    Prior variances .25 / (1 + (k / 4)^2), gains exp(-k^2 / 128), noise .1.
    """
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


def gaps_problem(measurements: int = 1, seed: int = 0, double: bool = True) -> GaussianProblem:
    """A row of 32 pixels of a periodic field of variance .25, about half of them missing, noise .1.

    For samplers that fill gaps and nothing else; power proportional to 1 / (1 + (k / 2)^2).
    """
    import torch

    from ..measurement import Measurement
    from ..noise.gaussian import Gaussian
    from ..operators.mask import Mask
    from ..priors.analytic import StationaryPrior

    generator, noise = torch.Generator().manual_seed(seed), 0.1
    power = 1 / (1 + (torch.arange(17, dtype=torch.float64) / 2) ** 2).view(1, 17)
    row = torch.fft.irfft2(power, s=(1, 32))[0]
    power, row = 0.25 * power / row[0], 0.25 * row / row[0]
    covariance = torch.stack([row.roll(k) for k in range(32)])
    keep = torch.rand(32, generator=torch.Generator().manual_seed(0)) < 0.5
    gain = covariance[:, keep] @ torch.linalg.inv(covariance[keep][:, keep] + noise**2 * torch.eye(int(keep.sum())))
    truth = torch.randn(measurements, 32, generator=generator, dtype=torch.float64) @ torch.linalg.cholesky(covariance).T
    y = truth[:, keep] + noise * torch.randn(measurements, int(keep.sum()), generator=generator, dtype=torch.float64)
    variance = (covariance - gain @ covariance[keep]).diagonal().view(1, 1, 32)
    kind = torch.float64 if double else torch.float32
    measurement = Measurement(y[:, None].to(kind), Mask(keep.view(1, 32)), Gaussian(sigma=noise), (1, 1, 32))
    mean = (y @ gain.T).view(measurements, 1, 1, 32)
    return GaussianProblem(StationaryPrior(power.to(kind), (1, 32)), measurement, mean, variance, variance < 0.125)


class _Sum:
    """A = [1, 1] / sqrt(2) on images of shape (1, 1, 2)."""

    def apply(self, x: Tensor) -> Tensor:
        return x.sum(-1, keepdim=True) / math.sqrt(2)

    def adjoint(self, y: Tensor) -> Tensor:
        return (y / math.sqrt(2)).expand(*y.shape[:-1], 2)


def mixture() -> GaussianMixturePrior:
    """Mixture of 25 Gaussians of unit covariance at 8 (i, j), i, j = -2 to 2; the antidiagonal is weighted 1 to 5."""
    import torch

    from ..priors.analytic import GaussianMixturePrior

    steps = range(-2, 3)
    means = torch.tensor([[8.0 * i, 8.0 * j] for i in steps for j in steps], dtype=torch.float64)
    weights = torch.tensor([i + 3.0 if j == -i else 1.0 for i in steps for j in steps], dtype=torch.float64)
    return GaussianMixturePrior(means, weights)


def mixture_measurement(gap: bool = False) -> Measurement:
    """The sum of the mixture's two coordinates, measured as 0 with noise .5: the posterior is the antidiagonal's five modes.

    With a gap, the first coordinate alone is measured: the posterior is the five modes of its middle.
    """
    import torch

    from ..measurement import Measurement
    from ..noise.gaussian import Gaussian
    from ..operators.mask import Mask

    y, noise = torch.zeros(1, 1, 1, dtype=torch.float64), Gaussian(sigma=MIXTURE_NOISE)
    if gap:
        return Measurement(y, Mask(torch.tensor([[True, False]])), noise, (1, 1, 2))
    return Measurement(y[..., None], _Sum(), noise, (1, 1, 2))


def components(prior: GaussianMixturePrior, x: Tensor | None, sigma: float, gap: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Exact p(x0 | x, y = 0) of the mixture's measurement; without x, its posterior p(x0 | y = 0).

    Each component is Gaussian, and x and y are Gaussian given x0: so the answer is a mixture in closed form.

    Returns
    -------
    weights : Tensor, shape (B, 25)
    means : Tensor, shape (B, 25, 2)
    covariance : Tensor, shape (2, 2)
        Common to the components.
    """
    import torch

    direction = torch.tensor([1.0, 0.0] if gap else [math.sqrt(0.5), math.sqrt(0.5)], dtype=torch.float64)
    share = 0.0 if x is None else 1 / (1 + sigma**2)  # of x in E[x0 | x, component]; unit prior variance
    spread = 1.0 - share
    flat = torch.zeros(1, 2, dtype=torch.float64) if x is None else x.flatten(1).double()
    centre = prior.means + share * (flat[:, None] - prior.means)
    evidence = -0.5 * (centre @ direction).square() / (spread + MIXTURE_NOISE**2)
    if x is not None:
        evidence = evidence - 0.5 * (flat[:, None] - prior.means).square().sum(-1) / (1 + sigma**2)
    gain = spread * direction / (spread + MIXTURE_NOISE**2)
    means = centre - (centre @ direction)[..., None] * gain
    covariance = spread * (torch.eye(2, dtype=torch.float64) - torch.outer(gain, direction))
    return (prior.weights.log() + evidence).softmax(-1), means, covariance


def mixture_draws(count: int, seed: int, stratified: bool = False, gap: bool = False) -> Tensor:
    """Exact draws of the mixture's posterior, shape (count, 2); stratified: each component exactly by its weight."""
    import torch

    weights, means, covariance = components(mixture(), None, 0.0, gap)
    generator = torch.Generator().manual_seed(seed)
    if stratified:
        edges = (weights[0].cumsum(0) * count).round().long()
        chosen = torch.searchsorted(edges, torch.arange(count), right=True)
    else:
        chosen = weights[0].multinomial(count, replacement=True, generator=generator)
    spread = torch.randn(count, 2, generator=generator, dtype=torch.float64) @ torch.linalg.cholesky(covariance).T
    drawn: Tensor = means[0, chosen] + spread
    return drawn


def mixture_distance(samples: Tensor, gap: bool = False) -> float:
    """Sliced W1 between samples, shape (count, ...), and as many stratified draws of the mixture's posterior."""
    flat = samples.reshape(-1, 2)
    return sliced_w1(flat, mixture_draws(len(flat), seed=5, stratified=True, gap=gap))


def sliced_w1(a: Tensor, b: Tensor, directions: int = 60) -> float:
    """Mean over directions of the 1-Wasserstein distance of two equally large sets of points in the plane."""
    import torch

    angle = torch.arange(directions, dtype=torch.float64) * math.pi / directions
    lines = torch.stack([angle.cos(), angle.sin()])
    difference = (a.double() @ lines).sort(0).values - (b.double() @ lines).sort(0).values
    return float(difference.abs().mean())
