"""Check of a sampler: its manners, and how far its draws are from an exact posterior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .problems import gaps_problem, gaussian_problem
from .require import require

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Denoiser
    from ..rng import NoiseStream
    from ..samplers.contract import Sampler


@dataclass(frozen=True)
class SamplerReport:
    """How far a sampler's draws are from the exact posterior.

    Parameters
    ----------
    bias : float
        Root mean square error of the mean over coordinates and measurements, in posterior standard deviations,
        with the scatter of the draws taken off.
    variance_ratio : float
        Sampled over exact variance, mean over coordinates.
    observed_variance_ratio : float
        The same over the coordinates of which the data say more than the prior.
    worst_error : float
        Largest error of a mean, in its own standard errors.
    lowest_ratio, highest_ratio : float
        Extremes of the variance ratio over coordinates.
    calls : int
        Network calls.
    draws : int
    """

    bias: float
    variance_ratio: float
    observed_variance_ratio: float
    worst_error: float
    lowest_ratio: float
    highest_ratio: float
    calls: int
    draws: int

    def calibrated(self, bias: float = 0.1, variance: float = 0.1) -> bool:
        """Whether mean and variance are right within these limits, the observed coordinates' variance too."""
        ratios = (self.variance_ratio, self.observed_variance_ratio)
        return self.bias <= bias and all(abs(ratio - 1) <= variance for ratio in ratios)


def check_sampler(
    sampler: Sampler,
    draws: int = 20_000,
    *,
    measurements: int = 1,
    seed: int = 0,
    double: bool = True,
    prior: Denoiser | None = None,
) -> SamplerReport:
    """Check a sampler's manners and measure its draws on the exact Gaussian problem: with gaps if it needs them.

    Parameters
    ----------
    sampler : Sampler
    draws : int
        Posterior samples in all.
    measurements : int
        Measurements that the draws are shared between; several make the bias that of a typical measurement.
    seed : int
    double : bool
        False computes in float32, twice as fast.
    prior : Denoiser, optional
        Stands in for the problem's exact prior, for example with a measured error covariance.

    Raises
    ------
    AssertionError
        If the sampler yields with gradients switched off, writes again to what it yielded, miscounts its steps or
        returns values that are not finite. A biased sampler raises nothing: that is what the report is for.
    """
    import torch

    from ..measurement import Measurement
    from ..rng import BatchNoise
    from ..samplers.contract import needs_of

    problem = (gaps_problem if "selecting" in needs_of(sampler) else gaussian_problem)(measurements, seed, double)
    denoiser, each = prior or problem.prior, draws // measurements
    check_manners(sampler, problem.measurement, denoiser, BatchNoise(seed, measurements))
    given = problem.measurement
    many = Measurement(given.y.repeat_interleave(each, 0), given.operator, given.noise, given.shape)
    state = None
    for state in sampler.run(many, denoiser, BatchNoise(seed, each * measurements)):  # noqa: B007 - the last one counts
        pass
    assert state is not None
    samples = state.x0.double().view(measurements, each, 32)
    exact, variance = problem.mean.view(measurements, 32), problem.variance.view(32)
    ratio = samples.var(1).mean(0) / variance
    squared = (samples.mean(1) - exact).square() / variance
    scatter = samples.var(1) / variance / each
    observed = ratio[problem.observed.view(32)]
    return SamplerReport(
        bias=math.sqrt(max(0.0, float((squared - scatter).mean()))),
        variance_ratio=float(ratio.mean()),
        observed_variance_ratio=float(observed.mean()),
        worst_error=float((squared / scatter.clamp_min(torch.finfo(torch.float64).tiny)).max().sqrt()),
        lowest_ratio=float(ratio.min()),
        highest_ratio=float(ratio.max()),
        calls=state.calls,
        draws=each * measurements,
    )


def check_manners(sampler: Sampler, measurement: Measurement, prior: Denoiser, noise: NoiseStream) -> None:
    """Check what every sampler owes its caller while it runs.

    Gradients are on between steps, a yielded tensor is never written again, the steps are counted up to their total,
    and every state has the images' shape and a misfit per sample.

    Raises
    ------
    AssertionError
        If it does not keep to that.
    """
    import torch

    name = type(sampler).__name__
    seen: list[tuple[Tensor, Tensor]] = []
    state = None
    for number, state in enumerate(sampler.run(measurement, prior, noise), 1):
        require(torch.is_grad_enabled(), f"{name} yields while gradients are switched off.")
        require(state.step == number, f"{name} numbers step {number} as {state.step}.")
        require(state.x0.shape == (noise.count, *measurement.shape), f"{name} yields images of {tuple(state.x0.shape)}.")
        require(state.misfit.shape == (noise.count,), f"{name} yields a misfit of shape {tuple(state.misfit.shape)}.")
        require(not state.x0.requires_grad, f"{name} yields a tensor that holds a graph.")
        seen.append((state.x0, state.x0.clone()))
    if state is None:
        raise AssertionError(f"{name} yields nothing.")
    require(state.step == state.total, f"{name} ends at step {state.step} of {state.total}.")
    require(state.x0.isfinite().all(), f"{name} ends with values that are not finite.")
    require(all(torch.equal(now, then) for now, then in seen), f"{name} writes again to a tensor that it yielded.")
