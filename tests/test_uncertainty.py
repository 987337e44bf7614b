"""Deviations and quantiles: exact where they can be, and honest about the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from napari_diffprior import restore
from napari_diffprior.priors.analytic import GaussianPrior
from napari_diffprior.uncertainty import Running, deviation, quantile, trust


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_running_figures_are_those_of_the_samples(count: int) -> None:
    samples = np.random.default_rng(0).normal(60000, 3, (count, 20, 30)).astype(np.float32)
    running = Running((20, 30))
    for sample in samples:
        running.add(sample)
    np.testing.assert_allclose(running.mean, samples.mean(0, dtype=np.float64), rtol=1e-6)
    pairs = samples[: count // 2 * 2].astype(np.float64).reshape(count // 2, 2, 20, 30)
    variance = np.zeros((20, 30))
    if count > 1:
        variance += ((pairs[:, 0] - pairs[:, 1]) ** 2 / 4).mean(0)
    if count > 3:
        variance += pairs.mean(1).var(0, ddof=1)
    np.testing.assert_allclose(running.std, np.sqrt(variance), atol=0.03)
    np.testing.assert_array_equal(running.std, deviation(samples))


@pytest.mark.parametrize("correlation", [-1.0, -0.5, 0.0, 0.7])
def test_the_variance_has_no_bias_whatever_a_pair_shares(correlation: float) -> None:
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 4, 100_000))
    samples = np.empty((8, 100_000))
    samples[::2], samples[1::2] = a, correlation * a + np.sqrt(1 - correlation**2) * b
    assert (deviation(samples) ** 2).mean() == pytest.approx(1, abs=0.01)  # standard error .003


@pytest.mark.parametrize(("count", "kept"), [(4, False), (16, False), (19, True), (64, True)])
def test_nine_of_ten_further_draws_lie_between_the_quantiles(count: int, kept: bool) -> None:
    """20,000 pixels: standard error .2 %."""
    draws = np.random.default_rng(1).normal(size=(count + 1, 20000)).astype(np.float32)
    samples, further = draws[:-1], draws[-1]
    samples[1 : 2 * (count // 2) : 2] = -samples[: 2 * (count // 2) : 2]
    mean, std = samples.mean(0), deviation(samples)
    given = samples if kept else samples[:0]
    low, high = (quantile(level, mean, std, count, given) for level in (0.05, 0.95))
    assert ((low <= further) & (further <= high)).mean() == pytest.approx(0.9, abs=0.01)


def test_quantiles_of_the_factor_are_wider() -> None:
    samples = np.random.default_rng(2).normal(size=(30, 50)).astype(np.float32)
    mean = samples.mean(0)
    plain, wide = (quantile(0.95, mean, f * deviation(samples), 30, samples, f) for f in (1.0, 1.5))
    np.testing.assert_allclose(wide - mean, 1.5 * (plain - mean), rtol=1e-4, atol=1e-6)
    for level in (0.0, 1.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            quantile(level, mean, mean, 30, samples)
    with pytest.raises(ValueError, match="two samples"):
        quantile(0.5, mean, mean, 1, samples[:1])


def test_trust_has_its_reasons() -> None:
    assert trust([0.9, 1.2], 4, 1.1) == ""
    assert "0.700 is outside" in trust([0.9, 0.7], 4, 1.1)
    assert "1.300 is outside" in trust([1.3], 4, 1.1)
    assert "0.799 is outside" in trust([0.799], 4, 1.1)  # and not 0.80, which is inside
    assert "not calibrated for coverage" in trust([1.0], 4, None)
    assert "one sample" in trust([1.0], 1, 1.0)


class Calibrated(GaussianPrior):
    """A prior that says by what its deviations must be multiplied."""

    def coverage_factor(self, sigma: float, sharpness: float, level: float) -> float:
        return 1.5 if level == 0.9 else 1.2


def run(prior: Any, **settings: Any) -> Any:
    image = 100 + 20 * np.random.default_rng(1).standard_normal((24, 26))
    return restore(image, **{"noise": 5.0, "steps": 3, "samples": 3, "device": "cpu", "prior": prior, **settings})


def test_the_factor_of_the_prior_multiplies_the_deviation() -> None:
    variance = torch.full((1, 24, 26), 0.3)
    plain, calibrated = run(GaussianPrior(variance)), run(Calibrated(variance))
    np.testing.assert_allclose(calibrated.std, 1.5 * plain.std, rtol=1e-6)
    np.testing.assert_array_equal(calibrated.mean, plain.mean)
    assert calibrated.provenance["coverage_factor"] == 1.5
    for level, factor in ((0.99, 1.5), (0.95, 1.5), (0.85, 1.35), (0.75, 1.2), (0.6, 1.2), (0.25, 1.2)):
        np.testing.assert_allclose(
            calibrated.quantile(level) - calibrated.mean, factor * (plain.quantile(level) - plain.mean), rtol=1e-3, atol=1e-3
        )
    assert not plain.calibrated
    assert "not calibrated for coverage" in plain.reason == plain.provenance["not_calibrated"]
    assert calibrated.calibrated is all(0.8 <= misfit <= 1.25 for misfit in calibrated.misfit)


def test_kept_or_not_the_figures_are_the_same() -> None:
    prior = GaussianPrior(torch.full((1, 24, 26), 0.3))
    kept, dropped = run(prior, keep_samples=True), run(prior, keep_samples=False)
    assert kept.samples.shape == (3, 24, 26)
    assert dropped.samples.shape == (0, 24, 26)
    np.testing.assert_array_equal(kept.mean, dropped.mean)
    np.testing.assert_array_equal(kept.std, dropped.std)
    np.testing.assert_array_equal(kept.quantile(0.9), dropped.quantile(0.9))
    assert (dropped.quantile(0.95) > dropped.mean).all()
