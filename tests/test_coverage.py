"""The coverage factor: 1 where samples are exact, and what it should be where they are not."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import t as student

from napari_diffprior.measurement import Measurement
from napari_diffprior.noise.gaussian import Gaussian
from napari_diffprior.operators.blur import Blur
from napari_diffprior.operators.contract import domain_of
from napari_diffprior.operators.downsample import Downsample
from napari_diffprior.operators.fourier import Fourier
from napari_diffprior.operators.identity import Identity
from napari_diffprior.operators.mask import Mask
from napari_diffprior.operators.phase import PhaseRetrieval
from napari_diffprior.priors.analytic import GaussianPrior
from napari_diffprior.priors.coverage import CoverageTable
from napari_diffprior.priors.network import NetworkPrior
from napari_diffprior.train.coverage import coverage_table, tasks_of
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
    table = coverage_table(GaussianPrior(VARIANCE), truths(16), (0.05, 0.3), blurs=(), steps=6)
    assert table.sigmas == (0.05, 0.3)
    # 4096 pixels of each task: standard error about 0.015; the last step takes the mean: up to 3 % less spread
    np.testing.assert_allclose([table.factor, table.factor_50], 1, atol=0.08)
    np.testing.assert_allclose(table.covered, 0.9, atol=0.02)


def covers(width):
    """Probability of Student's t of 4 degrees of freedom to lie within +- width."""
    return 2 * student.cdf(width, 4) - 1


def test_a_prior_that_is_too_sure_needs_a_factor():
    class TooSure(GaussianPrior):
        """Knows the field's variance to be a quarter of what it is: its samples of missing pixels spread half as far."""

    table = coverage_table(TooSure(VARIANCE / 4), truths(8), (0.01,), blurs=(), steps=6)
    # A denoised image needs no factor; of a filled one, 70 % of the pixels need 2. The median is the mean of the two.
    scale = interval_scale(8, 0.9)
    filled = brentq(lambda f: 0.3 * covers(scale * f) + 0.7 * covers(scale * f / 2) - 0.9, 1, 2)
    assert table.factor[0] == pytest.approx((1 + filled) / 2, abs=0.08)
    assert table.covered[0] < 0.87


def test_a_blur_has_factors_of_its_own():
    """A prior that believes in half of the spread: what is measured does not suffer, what a blur hides does."""

    class TooSure(GaussianPrior):
        """Knows the field's variance to be a quarter of what it is."""

    exact = coverage_table(GaussianPrior(VARIANCE), truths(48), (0.01,), blurs=(1.0, 2.0), steps=6)
    sure = coverage_table(TooSure(VARIANCE / 4), truths(48), (0.01,), blurs=(1.0, 2.0), steps=6)
    for narrow, wide in [(exact.blurred[0], exact.blurred[1]), (sure.blurred[0], sure.blurred[1])]:
        assert 0 < wide.sharpness[0] < narrow.sharpness[0] < 0.5
    np.testing.assert_allclose([[blur.factor, blur.factor_50] for blur in exact.blurred], 1, atol=0.15)
    assert min(*exact.blurred[0].factor, *exact.blurred[1].factor) >= 1
    assert sure.blurred[1].factor[0] == pytest.approx(2, abs=0.25)
    assert tasks_of(32) == ["noise", "gaps", 1.0]
    with pytest.raises(ValueError, match="at least 4 patches, not 3"):
        coverage_table(GaussianPrior(VARIANCE), truths(3), (0.01,), blurs=(1.0, 2.0))


def test_the_prior_interpolates_in_log_sigma():
    stored = CoverageTable((0.02, 0.2), (1.0, 2.0), (1.0, 1.5), (0.9, 0.7)).to_json()
    assert sorted(stored) == ["covered", "factor", "factor_50", "sigmas"]  # as files from before blurs were measured
    prior = NetworkPrior(SimpleNamespace(), SimpleNamespace(sigma_min=0.01, sigma_max=1.0), "epsilon", None)
    assert prior.coverage_factor(0.1) is None
    prior.coverage = CoverageTable.from_card({"coverage": stored})
    assert CoverageTable.from_card({}) is None
    expected = {0.001: 1.0, 0.02: 1.0, (0.02 * 0.2) ** 0.5: 1.5, 0.2: 2.0, 5.0: 2.0}
    for sigma, factor in expected.items():
        assert prior.coverage_factor(sigma) == pytest.approx(factor)
    assert [prior.coverage_factor(0.2, level=level) for level in (0.3, 0.5, 0.7, 0.9, 0.99)] == pytest.approx(
        [1.5, 1.5, 1.75, 2, 2]
    )
    assert prior.coverage_factor(0.02, sharpness=0.95) == pytest.approx(1.0)
    assert prior.coverage_factor(0.02, sharpness=0.4) is None


def test_the_prior_interpolates_in_sharpness():
    narrow = CoverageTable((0.02, 0.2), (1.2, 1.4), sharpness=(0.25, 0.5))
    wide = CoverageTable((0.02, 0.2), (1.6, 1.8), sharpness=(0.0625, 0.25))
    table = CoverageTable((0.02, 0.2), (1.0, 1.0), blurred=(narrow, wide))
    assert CoverageTable.from_card({"coverage": table.to_json()}) == table
    expected = {1.0: 1.0, 0.5: 1.1, 0.25: 1.2, 0.125: 1.4, 0.0625: 1.6, 0.04: 1.6, 0.03: None, 0.0: None}
    for sharpness, factor in expected.items():
        assert table.at(0.02, sharpness) == (None if factor is None else pytest.approx(factor))
    assert table.at(0.2, math.sqrt(0.5 * 0.25)) == pytest.approx(1.6)


@pytest.mark.parametrize(
    ("operator", "sharpness"),
    [
        (Identity(), 1.0),
        (Mask(torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) < 0.3), 1.0),
        (Fourier(torch.ones(64, 64, dtype=torch.bool)), 1.0),
        (Downsample(2, (32, 32)), 0.25),
        (Downsample(4, (16, 16)), 0.0625),
        (Blur(torch.eye(3)[1:2].T, (64, 64)), 1.0),
        (Blur(torch.ones(1, 5), (64, 60)), 0.2),
        (PhaseRetrieval((64, 64)), 0.0),
    ],
)
def test_sharpness_is_the_share_of_white_detail_that_the_operator_passes(operator, sharpness):
    """With a white error, tr(A R A^T) / tr(R) is the mean square of the rows: 1 / n of n averaged pixels."""
    shape = (1, *domain_of(operator, (64, 64)))
    y = operator.apply(torch.zeros(1, *shape))
    measurement = Measurement(y, operator, Gaussian(sigma=0.1), shape)
    # One Hutchinson estimate; exact where the rows of A do not overlap.
    assert measurement.sharpness(GaussianPrior(torch.ones(shape))) == pytest.approx(sharpness, abs=0.02)
