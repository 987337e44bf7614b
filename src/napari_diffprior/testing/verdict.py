"""What a sampler really samples: its figures on posteriors that are known exactly, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from .problems import mixture, mixture_distance, mixture_draws, mixture_measurement
from .samplers import check_sampler

if TYPE_CHECKING:
    from ..samplers.contract import Sampler

EXACT, APPROXIMATE, POINT, NEITHER = "exact", "approximate", "point estimate", "not a posterior sampler"


@dataclass(frozen=True)
class SamplerFigures:
    """A sampler on the exact Gaussian deconvolution and on the mixture of 25 Gaussians.

    Parameters
    ----------
    sampler : str
        Its name.
    bias, variance_ratio, observed_variance_ratio, calls
        On the Gaussian problem, as in ``SamplerReport``.
    sliced_w1 : float
        Distance of its draws to the mixture's posterior.
    exact_w1, prior_w1 : float
        The same for as many exact draws (their scatter alone), and for draws of the prior (no use of the data).
    """

    sampler: str
    bias: float
    variance_ratio: float
    observed_variance_ratio: float
    sliced_w1: float
    exact_w1: float
    prior_w1: float
    calls: int

    @property
    def verdict(self) -> str:
        """What the figures say that it is.

        - point estimate: its draws hardly differ, variance below 5 % of the posterior's;
        - exact: bias and variances within .1 (posterior standard deviations; ratio), and on the mixture no farther from
          the posterior than twice the scatter of exact draws;
        - approximate: bias within half a standard deviation, variances within a factor of two, and on the mixture
          nearer to the posterior than the prior is;
        - not a posterior sampler: anything else.
        """
        ratios = (self.variance_ratio, self.observed_variance_ratio)
        if max(ratios) < 0.05:
            return POINT
        if self.bias <= 0.1 and all(abs(ratio - 1) <= 0.1 for ratio in ratios) and self.sliced_w1 <= 2 * self.exact_w1:
            return EXACT
        near = self.bias <= 0.5 and all(0.5 <= ratio <= 2 for ratio in ratios)
        return APPROXIMATE if near and self.sliced_w1 < self.prior_w1 else NEITHER


def measure_sampler(sampler: Sampler, draws: int = 1024, seed: int = 0) -> SamplerFigures:
    """Measure a sampler, as it is set, on both exact problems.

    Parameters
    ----------
    sampler : Sampler
    draws : int
        Posterior samples on each problem; on the Gaussian one for 16 measurements in all.
    seed : int

    Raises
    ------
    AssertionError
        If it breaks the rules of ``check_sampler``.
    """
    from ..rng import BatchNoise
    from ..samplers.contract import needs_of

    gap = "selecting" in needs_of(sampler)
    report = check_sampler(sampler, draws, measurements=16, seed=seed, double=False)
    *_, last = sampler.run(mixture_measurement(gap), mixture(), BatchNoise(seed, draws))
    return SamplerFigures(
        sampler.name,
        report.bias,
        report.variance_ratio,
        report.observed_variance_ratio,
        mixture_distance(last.x0, gap),
        *_yardsticks(draws, gap),
        report.calls,
    )


@cache
def _yardsticks(draws: int, gap: bool) -> tuple[float, float]:
    """Mean distances to the mixture's posterior of exact draws, and of draws of the prior."""
    import torch

    prior, seeds = mixture(), range(8)
    exact = [mixture_distance(mixture_draws(draws, seed, gap=gap), gap) for seed in seeds]
    blind = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        chosen = prior.weights.multinomial(draws, replacement=True, generator=generator)
        spread = torch.randn(draws, 2, generator=generator, dtype=torch.float64)
        blind.append(mixture_distance(prior.means[chosen] + spread, gap))
    return sum(exact) / len(exact), sum(blind) / len(blind)
