"""The coverage factor: 1 where samples are exact, and what it should be where they are not."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import t as student

from napari_diffprior.priors.analytic import GaussianPrior
from napari_diffprior.priors.coverage import CoverageTable
from napari_diffprior.priors.network import NetworkPrior
from napari_diffprior.train.coverage import coverage_table
from napari_diffprior.uncertainty import deviation, interval_scale

VARIANCE = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0)) + 0.1


def truths(count):
    return VARIANCE.sqrt() * torch.randn(count, 1, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("samples", [4, 8])
def test_the_interval_holds_one_more_draw(samples):
    draws = 3 + np.random.default_rng(0).standard_normal((samples // 2 + 1, 200_000))
    truth, pairs = draws[-1], np.repeat(draws[:-1], 2, axis=0)
    pairs[1::2] = 6 - pairs[1::2]
    for level in (0.5, 0.9):
        covered = (np.abs(truth - pairs.mean(0)) <= interval_scale(samples, level) * deviation(pairs)).mean()
        assert covered == pytest.approx(level, abs=0.005)
    with pytest.raises(ValueError, match="at least 2 samples"):
        interval_scale(1)


def test_exact_samples_need_no_factor():
    table = coverage_table(GaussianPrior(VARIANCE), truths(16), (0.05, 0.3), steps=6)
    assert table.sigmas == (0.05, 0.3)
    # 4096 pixels of each task: standard error about 0.015; the last step takes the mean: up to 3 % less spread
    np.testing.assert_allclose([table.factor, table.factor_50], 1, atol=0.06)
    np.testing.assert_allclose(table.covered, 0.9, atol=0.02)


def covers(width):
    """Probability of Student's t of 4 degrees of freedom to lie within +- width."""
    return 2 * student.cdf(width, 4) - 1


def test_a_prior_that_is_too_sure_needs_a_factor():
    class TooSure(GaussianPrior):
        """Knows the field's variance to be a quarter of what it is: its samples of missing pixels spread half as far."""

    table = coverage_table(TooSure(VARIANCE / 4), truths(8), (0.01,), steps=6)
    # A denoised image needs no factor; of a filled one, 70 % of the pixels need 2. The median is the mean of the two.
    scale = interval_scale(8, 0.9)
    filled = brentq(lambda f: 0.3 * covers(scale * f) + 0.7 * covers(scale * f / 2) - 0.9, 1, 2)
    assert table.factor[0] == pytest.approx((1 + filled) / 2, abs=0.08)
    assert table.covered[0] < 0.87


def test_the_prior_interpolates_in_log_sigma():
    stored = CoverageTable((0.02, 0.2), (1.0, 2.0), (1.0, 1.5), (0.9, 0.7)).to_json()
    prior = NetworkPrior(SimpleNamespace(), SimpleNamespace(sigma_min=0.01, sigma_max=1.0), "epsilon", None)
    assert prior.coverage_factor(0.1) is None
    prior.coverage = CoverageTable.from_card({"coverage": stored})
    assert CoverageTable.from_card({}) is None
    expected = {0.001: 1.0, 0.02: 1.0, (0.02 * 0.2) ** 0.5: 1.5, 0.2: 2.0, 5.0: 2.0}
    for sigma, factor in expected.items():
        assert prior.coverage_factor(sigma) == pytest.approx(factor)
