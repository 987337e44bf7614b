from __future__ import annotations

import dataclasses
import math
import typing
from typing import Any

import numpy as np
import pytest
import torch
from toy_problems import Counted, Nothing, OracleMeasurement, PassThrough

from napari_diffprior.measurement import Measurement
from napari_diffprior.noise.gaussian import Gaussian
from napari_diffprior.operators.blur import Blur
from napari_diffprior.operators.contract import adjoint, domain_of
from napari_diffprior.operators.downsample import Downsample
from napari_diffprior.operators.identity import Identity
from napari_diffprior.operators.mask import Mask
from napari_diffprior.operators.phase import PhaseRetrieval
from napari_diffprior.priors.analytic import GaussianPrior
from napari_diffprior.priors.covariance import Diagonal, White
from napari_diffprior.registry import registered
from napari_diffprior.restoration import restore
from napari_diffprior.rng import BatchNoise, KeyedNoise
from napari_diffprior.samplers import guidance, mmps, pigdm
from napari_diffprior.samplers.auto import Auto
from napari_diffprior.samplers.contract import Chooser, check_needs, chosen, needs_of
from napari_diffprior.samplers.ddnm import DDNM
from napari_diffprior.samplers.ddrm import DDRM
from napari_diffprior.samplers.decoupled import Decoupled
from napari_diffprior.samplers.diffpir import DiffPIR
from napari_diffprior.samplers.dps import DPS
from napari_diffprior.samplers.schedules import TIMESTEPS, begin, ddpm_sigma
from napari_diffprior.samplers.score_ald import ScoreALD
from napari_diffprior.samplers.sdedit import SDEdit
from napari_diffprior.testing import check_manners, check_sampler, gaussian_problem
from napari_diffprior.testing.problems import components, mixture, mixture_distance, mixture_draws, mixture_measurement

# At five steps, the data step solved to the end.
EXACT = Decoupled(steps=5, tolerance=1e-8, iterations=64)

# What does not hold for every method; one that is not named here keeps every property below.
Settings = dict[str, Any]
IGNORE_NOISE: list[tuple[str, Settings]] = [
    ("sdedit", {}),
    ("ddrm", {}),  # takes the residual of a weak coordinate for noise of the size it was told
    ("reddiff", {"weights": "published"}),
    ("repaint", {"weights": "published"}),
]
NOT_THE_PRIOR: list[tuple[str, Settings, tuple[float, float]]] = [
    ("reddiff", {"weights": "calibrated"}, (0.0, 0.05)),  # a point estimate
    ("reddiff", {"weights": "published"}, (1.5, 3.5)),  # that a fixed learning rate shakes
    ("ddnm", {"weights": "published"}, (0.7, 0.78)),  # a fixed share of fresh noise loses variance in every step
    ("ddrm", {"weights": "published"}, (0.7, 0.78)),
]


def fits(sampler: Any, name: str, given: Settings) -> bool:
    """Whether it is that sampler with those settings."""
    return bool(sampler.name == name and all(getattr(sampler, key) == value for key, value in given.items()))


def variants() -> list[Any]:
    """Every registered sampler that does the work itself, once for each choice of each of its modes."""
    found = []
    for cls in registered("sampler").values():
        if issubclass(cls, Chooser):
            continue
        hints = typing.get_type_hints(cls)
        choices = {name: typing.get_args(hint) for name, hint in hints.items() if typing.get_origin(hint) is typing.Literal}
        found += [cls(steps=12)] + [cls(steps=12, **{name: choice}) for name, many in choices.items() for choice in many]
    return [pytest.param(sampler, id=repr(sampler)) for sampler in dict.fromkeys(found)]


def draw(sampler: Any, measurement: Measurement, prior: Any, noise: Any) -> torch.Tensor:
    """The samples: the last state's images."""
    *_, last = sampler.run(measurement, prior, noise)
    return last.x0


def gaussian_image(operator: Any = None, sigma: float = 0.1) -> tuple[Measurement, GaussianPrior]:
    """A measurement of a 6 x 5 image with independent pixels of different variance, float64."""
    generator = torch.Generator().manual_seed(3)
    variance = 0.05 + torch.rand(1, 6, 5, generator=generator, dtype=torch.float64)
    operator = operator or Mask(torch.rand(6, 5, generator=generator) < 0.6)
    clean = variance.sqrt() * torch.randn(1, 1, 6, 5, generator=generator, dtype=torch.float64)
    y = operator.apply(clean)
    y = y + sigma * torch.randn(y.shape, generator=generator, dtype=torch.float64)
    return Measurement(y, operator, Gaussian(sigma=sigma), (1, 6, 5)), GaussianPrior(variance)


# --- T1: Gaussian deconvolution ---------------------------------------------------------------------------------------


def test_t1_yardstick() -> None:
    problem = gaussian_problem()
    expected = {0: 0.009615, 8: 0.017609, 16: 0.014320, 31: 0.004094}
    for k, variance in expected.items():
        assert float(problem.variance[0, 0, k]) == pytest.approx(variance, abs=5e-7)
    exact = problem.measurement.condition(
        torch.zeros(1, 1, 1, 32, dtype=torch.float64), problem.prior.error(math.inf, (1, 1, 32), problem.mean), None, 1e-12, 200
    )
    assert torch.allclose(exact, problem.mean, rtol=0, atol=1e-10)


def test_t1_yardstick_can_fail() -> None:
    """Draws from the exact posterior pass; the same with a bias or a wrong variance do not."""

    class Cheat:
        name, steps = "cheat", 1

        def __init__(self, shift: float, stretch: float) -> None:
            self.shift, self.stretch = shift, stretch

        def run(self, measurement: Any, prior: Any, noise: Any, x: Any = None) -> Any:
            from napari_diffprior.samplers.contract import State

            problem, y = gaussian_problem(), measurement.y
            sd = problem.variance.sqrt()
            centre = problem.variance * measurement.adjoint(y) / measurement.sigma**2
            x0 = centre + sd * (self.shift + self.stretch * noise.normal((1, 1, 32), y))
            yield State(1, 1, 0.0, x0, measurement.misfit(x0), 1)

    honest = check_sampler(Cheat(0.0, 1.0))  # type: ignore[arg-type]
    assert honest.calibrated(bias=0.02, variance=0.02) and honest.worst_error < 4
    assert not check_sampler(Cheat(0.15, 1.0)).calibrated()  # type: ignore[arg-type]
    assert not check_sampler(Cheat(0.0, 0.93)).calibrated()  # type: ignore[arg-type]
    assert not check_sampler(Cheat(0.0, 1.07)).calibrated()  # type: ignore[arg-type]


def test_t1_decoupled_is_exact_at_five_steps() -> None:
    report = check_sampler(EXACT, 20_000)
    assert report.calls == 5
    assert report.worst_error <= 3
    assert abs(report.variance_ratio - 1) <= 0.02 and abs(report.observed_variance_ratio - 1) <= 0.02
    # Every coordinate by itself, within the scatter of 20,000 draws (1 % each).
    assert report.lowest_ratio > 0.96 and report.highest_ratio < 1.04


def test_t1_decoupled_by_default_keeps_the_variance() -> None:
    """The default ends at sigma_y / 4: its last step must draw what noise of that size hides, 6 % on average."""
    report = check_sampler(Decoupled(tolerance=1e-8, iterations=64), 8000, double=False)
    assert report.calls == 20 and report.bias <= 0.02
    assert report.variance_ratio == pytest.approx(1, abs=0.02)


def test_t1_decoupled_with_the_jacobian_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_diffprior.samplers.decoupled.GRADIENT_PAYS", (0.0, math.inf))
    report = check_sampler(dataclasses.replace(EXACT, jacobian=True), 20_000)
    assert report.calls == 5
    assert report.worst_error <= 3
    assert abs(report.variance_ratio - 1) <= 0.02 and abs(report.observed_variance_ratio - 1) <= 0.02


def test_the_jacobian_makes_up_for_a_wrong_error() -> None:
    """E[x0 | x, y] from the denoiser's own Jacobian; a measured R that is wrong only makes it slower."""
    operator, sigma = Blur.gaussian(1.0, (6, 5)), 0.4
    shape = (1, *operator.domain)
    generator = torch.Generator().manual_seed(0)
    variance = torch.linspace(0.01, 1.5, math.prod(shape), dtype=torch.float64).view(shape)
    x = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    y = operator.apply(torch.randn(1, *shape, generator=generator, dtype=torch.float64))
    measurement, wrong = Measurement(y, operator, Gaussian(sigma=0.3), shape), White(0.1, x)
    jacobian = guidance.TweedieCovariance(GaussianPrior(variance), x, sigma)
    mean, error = jacobian.mean, Diagonal(variance * sigma**2 / (variance + sigma**2))
    exact = measurement.condition(mean, error, None, 1e-12, 500)

    def off(found: torch.Tensor) -> float:
        return float((found - exact).norm())

    moved = [mean + guidance.matched(measurement, jacobian, mean, count, wrong) for count in (2, 30)]
    assert off(moved[1]) < 1e-8
    assert off(moved[0]) < 0.3 * off(measurement.condition(mean, wrong, None, 1e-12, 500))


def test_t1_decoupled_with_a_measured_covariance() -> None:
    measured = Counted(gaussian_problem().prior, held_out=1000)
    report = check_sampler(EXACT, 8000, measurements=8, prior=measured)  # type: ignore[arg-type]
    assert report.calibrated(bias=0.1, variance=0.1), report


def test_t1_score_ald_langevin() -> None:
    report = check_sampler(ScoreALD(mode="langevin", steps=300, inner=3), 6400, measurements=16, double=False)
    assert 0.02 <= report.bias <= 0.08, report  # .05
    assert 1.09 <= report.variance_ratio <= 1.15, report  # 1.12


def test_t1_score_ald_predictor() -> None:
    report = check_sampler(ScoreALD(mode="predictor", steps=300), 6400, measurements=16, double=False)
    assert 0.15 <= report.bias <= 0.25, report  # .20
    assert 0.86 <= report.variance_ratio <= 0.93, report  # .89
    assert not report.calibrated()


def test_t1_dps_with_any_fixed_scale_is_not_calibrated() -> None:
    reports = {
        scale: check_sampler(DPS(guidance="norm", steps=1000, scale=scale), 640, measurements=16, double=False)
        for scale in (0.003, 0.01, 0.03, 0.3)
    }
    for scale, report in reports.items():
        assert not report.calibrated(), (scale, report)
    best = min(reports.values(), key=lambda report: report.bias)
    assert best.observed_variance_ratio <= 0.2, best


def test_t1_dps_calibrated_is_near_but_no_sampler() -> None:
    report = check_sampler(DPS(steps=300), 3200, measurements=16, double=False)
    # .99; moves that are not cut to their best length give .70, and diverge with a network
    assert 0.93 <= report.observed_variance_ratio <= 1.06, report
    assert 0.1 < report.bias <= 0.25 and not report.calibrated()


@pytest.mark.parametrize("start", [200, 500])
def test_t1_sdedit_is_not_calibrated(start: int) -> None:
    report = check_sampler(SDEdit(start=start), 3200, measurements=16, double=False)
    assert not report.calibrated()
    assert report.observed_variance_ratio > 4, report  # the prior's variance, not the posterior's


@pytest.fixture
def every_timestep(monkeypatch: pytest.MonkeyPatch) -> None:
    """The 1000 levels of the DDPM table, as the papers step through them, in the place of our spacing."""
    table = [*(ddpm_sigma(timestep) for timestep in reversed(range(TIMESTEPS))), 0.0]
    for module in (mmps, pigdm):
        monkeypatch.setattr(module, "drowned", lambda prior, measurement, steps: table)


@pytest.mark.usefixtures("every_timestep")
def test_t1_mmps_step_by_step_is_unbiased_and_a_little_narrow() -> None:
    report = check_sampler(mmps.MMPS(steps=1000, iterations=32), 480, measurements=8, double=False)
    assert report.bias < 0.03, report  # .015 with 1600 draws
    assert 0.9 <= report.variance_ratio <= 0.95, report  # .92: ancestral steps, not the method
    assert not report.calibrated(bias=0.02, variance=0.02)


@pytest.mark.usefixtures("every_timestep")
def test_t1_pigdm_as_published() -> None:
    report = check_sampler(pigdm.PiGDM(steps=1000, weights="published"), 1600, measurements=16, double=False)
    assert 0.09 <= report.bias <= 0.17, report  # .13
    assert 0.94 <= report.variance_ratio <= 1.0, report  # .97
    assert not report.calibrated()


@pytest.mark.parametrize("sampler", [mmps.MMPS(steps=300), pigdm.PiGDM(steps=300), DiffPIR(steps=300)], ids=repr)
def test_t1_with_the_error_covariance_and_enough_steps_it_is_calibrated(sampler: Any) -> None:
    report = check_sampler(sampler, 1600, measurements=8, double=False)
    assert report.calibrated(bias=0.05, variance=0.08), report  # bias .00, variance .96


@pytest.mark.parametrize("sampler", [mmps.MMPS(), pigdm.PiGDM(), DiffPIR()], ids=repr)
def test_t1_by_default_ancestral_steps_lose_a_tenth_of_the_variance_and_no_more(sampler: Any) -> None:
    report = check_sampler(sampler, 3200, measurements=16, double=False)
    assert report.bias <= 0.03, report
    assert 0.87 <= report.variance_ratio <= 0.94 and 0.87 <= report.observed_variance_ratio <= 0.94, report  # .91


def test_t1_diffpir_as_published_is_no_sampler() -> None:
    report = check_sampler(DiffPIR(weights="published"), 3200, measurements=16, double=False)
    assert report.bias > 0.25 and not report.calibrated(), report  # .33


@pytest.mark.parametrize(
    ("sampler", "bias", "observed"),
    [
        (DDNM(), 0.44, 0.20),
        (DDNM(weights="published"), 0.47, 0.22),
        (DDRM(), 0.37, 0.41),
        (DDRM(weights="published"), 0.43, 0.33),
    ],
    ids=repr,
)
def test_t1_ddnm_and_ddrm_keep_the_noise_of_the_data(sampler: Any, bias: float, observed: float) -> None:
    """They count the noise of y as fresh in every step; it is the same noise, so the draws are too close to the data."""
    report = check_sampler(sampler, 3200, measurements=16, double=False)
    assert report.bias == pytest.approx(bias, abs=0.08), report
    assert report.observed_variance_ratio == pytest.approx(observed, abs=0.06) and not report.calibrated(), report


class Clairvoyant:
    """A prior that knows the image, which is zero, and notes what it is asked."""

    sigma_min, sigma_max, channels, ndim, patch = 0.4, 1.0, 1, 2, None

    def __init__(self) -> None:
        self.seen: list[tuple[float, torch.Tensor]] = []

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        self.seen.append((float(sigma[0]), x))
        return torch.zeros_like(x)

    def error(self, sigma: float, shape: Any, like: torch.Tensor) -> Diagonal:
        return Diagonal(torch.full(tuple(shape), 0.01, dtype=like.dtype))


@pytest.mark.parametrize("level", [0.1, 0.9], ids=["weak noise", "strong noise"])
@pytest.mark.parametrize(
    "operator", [Identity(), Mask(torch.arange(30).view(6, 5) % 2 == 0), Downsample(2, (3, 3)), None], ids=repr
)
@pytest.mark.parametrize("sampler", [DDNM(), DDNM(weights="published"), DDRM(), DDRM(weights="published")], ids=repr)
def test_ddnm_and_ddrm_fill_the_noise_of_the_data_up_to_that_of_the_level(sampler: Any, operator: Any, level: float) -> None:
    """Where D is the image itself, the next x is the image plus white noise of the next level: in all directions."""
    operator, count, prior = operator or Blur.gaussian(1.0, (6, 5)), 2000, Clairvoyant()
    shape = (1, *domain_of(operator, (6, 5)))
    clean = operator.apply(torch.zeros(count, *shape, dtype=torch.float64))
    generator = torch.Generator().manual_seed(2)
    y = clean + level * torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    sampler = dataclasses.replace(sampler, steps=2)
    draw(sampler, Measurement(y, operator, Gaussian(sigma=level), shape), prior, BatchNoise(0, count))
    sigma, x = prior.seen[1]
    random = torch.randn(20, *shape, generator=generator, dtype=torch.float64)
    probes = torch.cat([random, adjoint(operator, operator.apply(random), shape)]).flatten(1)  # the others lie in the range
    along = x.flatten(1) @ (probes / probes.norm(dim=1, keepdim=True)).T / sigma
    assert (along.mean(0).abs() <= 5 / count**0.5).all()
    assert ((along.square().mean(0) - 1).abs() <= 5 * (2 / count) ** 0.5).all()


def test_pigdm_cuts_a_move_that_a_wrong_jacobian_makes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prior that says a hundredth of its error: the data would throw x about; the cut move ends at the data."""
    measurement, exact = gaussian_image(Identity(), sigma=0.05)

    class Proud(GaussianPrior):
        def error(self, sigma: float, shape: Any, like: torch.Tensor) -> Diagonal:
            return Diagonal(super().error(sigma, shape, like).variance * (1.0 if math.isinf(sigma) else 0.01))

    samples = draw(pigdm.PiGDM(steps=20), measurement, Proud(exact.variance), KeyedNoise(0, range(4)))
    assert (measurement.misfit(samples) <= 1.5).all()
    monkeypatch.setattr(guidance, "best_length", lambda measurement, x0, move, pull: 1.0)
    uncut = draw(pigdm.PiGDM(steps=20), measurement, Proud(exact.variance), KeyedNoise(0, range(4)))
    assert (measurement.misfit(uncut) > 10).all()


# --- T2: mixture of 25 Gaussians --------------------------------------------------------------------------------------


def test_t2_yardstick() -> None:
    weights, means, covariance = components(mixture(), None, 0.0)
    heavy = weights[0][weights[0] > 1e-3]
    assert heavy.tolist() == pytest.approx([0.0667, 0.1333, 0.2, 0.2667, 0.3333], abs=5e-5)
    assert torch.allclose(covariance, torch.tensor([[0.6, -0.4], [-0.4, 0.6]], dtype=torch.float64))
    assert (weights[0] @ means[0]).tolist() == pytest.approx([5.3333, -5.3333], abs=5e-4)
    draws = mixture_draws(20_000, seed=0)
    assert draws.mean(0).tolist() == pytest.approx([5.3333, -5.3333], abs=0.25)
    # The oracle's conditional tends to the posterior where x says nothing, and to x where it says all.
    blank = components(mixture(), torch.zeros(1, 1, 1, 2, dtype=torch.float64), 1e4)
    assert torch.allclose(blank[0], weights, atol=1e-3) and torch.allclose(blank[2], covariance, atol=1e-6)
    there = torch.tensor([[[[8.3, -7.9]]]], dtype=torch.float64)
    sharp = components(mixture(), there, 1e-3)
    assert torch.allclose((sharp[0][..., None] * sharp[1]).sum(1), there.view(1, 2), atol=1e-4)


def test_t2_exact_draws_set_the_scale() -> None:
    assert np.mean([mixture_distance(mixture_draws(4000, seed)) for seed in range(6)]) == pytest.approx(0.13, abs=0.08)


def test_t2_decoupled_with_the_exact_conditional() -> None:
    oracle = OracleMeasurement(**vars(mixture_measurement()))
    samples = draw(Decoupled(steps=30, start=100.0, last=0.05), oracle, PassThrough(mixture()), BatchNoise(0, 4000))
    assert mixture_distance(samples) <= 0.25  # .09; the scatter of 4000 exact draws is .1
    nearest = (samples.view(-1, 1, 2) - mixture().means).square().sum(-1).argmin(1)
    shares = torch.bincount(nearest, minlength=25)[[4 * i + 4 for i in range(5)]] / len(samples)
    assert shares.tolist() == pytest.approx([0.0667, 0.1333, 0.2, 0.2667, 0.3333], abs=0.03)


def test_t2_score_ald_langevin() -> None:
    sampler = ScoreALD(mode="langevin", steps=300, inner=20)
    assert mixture_distance(draw(sampler, mixture_measurement(), mixture(), BatchNoise(0, 400))) <= 0.8  # .62


@pytest.mark.parametrize("sampler", [mmps.MMPS(), pigdm.PiGDM(), DiffPIR()], ids=repr)
def test_t2_a_gaussian_in_the_place_of_separate_modes_is_nearer_than_the_prior_but_not_near(sampler: Any) -> None:
    """Draws of the prior are at 4.2, 600 exact ones at .4."""
    assert 1.0 <= mixture_distance(draw(sampler, mixture_measurement(), mixture(), BatchNoise(0, 600))) <= 3.5


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_t2_dps_is_far_from_the_posterior(scale: float) -> None:
    samples = draw(DPS(guidance="norm", scale=scale, steps=300), mixture_measurement(), mixture(), BatchNoise(0, 600))
    assert 2.0 <= mixture_distance(samples) <= 11.0  # 2.4 to 9.7


def test_t2_sdedit_is_far_from_the_posterior() -> None:
    assert mixture_distance(draw(SDEdit(), mixture_measurement(), mixture(), BatchNoise(0, 600))) > 2.0


# --- T5: calibrated DPS at any size -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 64, 1024])
def test_t5_calibrated_dps_keeps_the_residual(rows: int) -> None:
    """m = 32, 2048, 32768: the coordinates of T1, repeated."""
    problem = gaussian_problem(measurements=rows, seed=4, double=False)
    given, prior = problem.measurement, typing.cast("GaussianPrior", problem.prior)
    image = Measurement(given.y.view(1, 1, rows, 32), given.operator, given.noise, (1, rows, 32))
    wide = GaussianPrior(prior.variance.expand(1, rows, 32))
    samples = draw(DPS(steps=200), image, wide, BatchNoise(0, max(1, 256 // rows)))
    assert 0.9 <= float(image.misfit(samples).mean().sqrt()) <= 1.2


# --- Properties of every sampler --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", variants())
def test_manners(sampler: Any) -> None:
    measurement, prior = gaussian_image()
    check_manners(sampler, measurement, prior, KeyedNoise(0, range(3)))


@pytest.mark.parametrize("sampler", variants())
def test_a_batch_of_four_equals_four_singles(sampler: Any) -> None:
    measurement, prior = gaussian_image()
    together = draw(sampler, measurement, prior, KeyedNoise(5, range(4)))
    for sample in range(4):
        alone = draw(sampler, measurement, prior, KeyedNoise(5, [sample]))
        assert torch.allclose(together[sample], alone[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sampler", variants())
def test_the_seed_decides(sampler: Any) -> None:
    measurement, prior = gaussian_image()
    first, again, other = (draw(sampler, measurement, prior, KeyedNoise(seed, range(2))) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)
    assert not torch.allclose(first[0], first[1], atol=1e-3)


@pytest.mark.parametrize("sampler", variants())
def test_global_random_state_is_left_alone(sampler: Any) -> None:
    measurement, prior = gaussian_image()
    torch.manual_seed(1)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    draw(sampler, measurement, prior, KeyedNoise(0, range(2)))
    assert torch.equal(before, torch.get_rng_state()) and (numpy_before == np.random.get_state()[1]).all()


@pytest.mark.parametrize("name", sorted(registered("sampler")))
def test_what_a_sampler_does_not_need_it_can_do_without(name: str) -> None:
    """A sampler that claims no linear operator runs on a magnitude, one that claims no gradients never asks for them."""
    sampler = registered("sampler")[name](steps=6)
    assert needs_of(sampler) <= {"linear", "selecting", "gradients"}
    measurement, prior = gaussian_image()
    if "linear" not in needs_of(sampler):
        operator = PhaseRetrieval((6, 5))
        curved = Measurement(
            operator.apply(torch.ones(1, 1, 6, 5, dtype=torch.float64)), operator, Gaussian(sigma=0.3), (1, 6, 5)
        )
        check_needs(sampler, curved, prior)
        assert draw(sampler, curved, prior, KeyedNoise(0, [0])).isfinite().all()
    if "gradients" not in needs_of(sampler):
        check_needs(sampler, measurement, Frozen(prior.variance))
        assert draw(sampler, measurement, Frozen(prior.variance), KeyedNoise(0, [0])).isfinite().all()


@pytest.mark.parametrize("name", sorted(registered("sampler")))
def test_a_combination_that_cannot_work_is_refused_with_two_that_can(name: str) -> None:
    sampler, measurement, prior = registered("sampler")[name](), *gaussian_image()
    check_needs(sampler, measurement, prior)
    curved = Measurement(measurement.y, PhaseRetrieval((6, 5)), measurement.noise, measurement.shape)
    whole, _ = gaussian_image(Identity())
    cases = {"linear": (curved, prior), "selecting": (whole, prior), "gradients": (measurement, Frozen(prior.variance))}
    for need in needs_of(sampler):
        with pytest.raises(ValueError, match=f"^{name} needs .*: choose [a-z_]+ or [a-z_]+\\.$") as caught:
            check_needs(sampler, *cases[need])
        for other in str(caught.value).rstrip(".").rpartition("choose ")[2].split(" or "):
            check_needs(registered("sampler")[other](), *cases[need])


class Frozen(GaussianPrior):
    """A prior that autograd cannot go through."""

    differentiable = False

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return super().__call__(x.detach(), sigma)


def test_restore_asks_whether_prior_and_sampler_go_together() -> None:
    image = np.random.default_rng(0).random((6, 5))
    prior = Frozen(torch.full((1, 6, 5), 0.1))
    with pytest.raises(ValueError, match="dps needs gradients through the prior, and Frozen has none: choose "):
        restore(image, prior=prior, sampler="dps", device="cpu", noise=0.1)


def prior_ratio(samples: torch.Tensor, prior: GaussianPrior) -> tuple[float, float]:
    """RMS mean in prior standard deviations, and mean variance ratio to the prior."""
    rms = float((samples.mean(0) / prior.variance.sqrt()).square().mean().sqrt())
    return rms, float((samples.var(0) / prior.variance).mean())


def prior_band(sampler: Any) -> tuple[float, float]:
    """Variance ratio to the prior that a sampler has where the data say nothing: 1, or what it is known to be instead."""
    return next((band for name, given, band in NOT_THE_PRIOR if fits(sampler, name, given)), (0.88, 1.15))


def blind(sampler: Any) -> Any:
    """The same method with 300 levels, from pure noise to where nothing is lost by a mean, once, with what suffices.

    Of an ODE one step: of several it makes a draw, and DAPS another around it (see the test of its width).
    """
    whole = {"start": 1000, "repeats": 1, "last": 0.05, "ode": 1, "langevin": 20, "denoising": 20, "particles": 2}
    own = {name: value for name, value in whole.items() if type(getattr(sampler, name, None)) is type(value)}
    return dataclasses.replace(sampler, steps=300, **own)


@pytest.mark.parametrize("sampler", variants())
def test_without_data_every_sampler_draws_from_the_prior(sampler: Any) -> None:
    prior = typing.cast("GaussianPrior", gaussian_problem(double=False).prior)
    blank = Measurement(torch.full((1, 1, 1, 32), 0.7), Nothing(), Gaussian(sigma=0.1), (1, 1, 32))
    rms, ratio = prior_ratio(draw(blind(sampler), blank, prior, BatchNoise(0, 2000)), prior)
    assert rms <= 0.08
    low, high = prior_band(sampler)
    assert low <= ratio <= high, ratio


@pytest.mark.parametrize("sampler", [DPS(steps=300, start=100), ScoreALD(steps=300, start=100)], ids=repr)
def test_a_start_in_little_noise_draws_from_the_prior_too(sampler: Any) -> None:
    prior = typing.cast("GaussianPrior", gaussian_problem(double=False).prior)
    blank = Measurement(torch.full((1, 1, 1, 32), 0.7), Nothing(), Gaussian(sigma=0.1), (1, 1, 32))
    rms, ratio = prior_ratio(draw(sampler, blank, prior, BatchNoise(0, 2000)), prior)
    assert rms <= 0.08
    assert 0.88 <= ratio <= 1.15, ratio


@pytest.mark.parametrize("sigma", [0.05, 3.0])
def test_the_start_is_the_noised_posterior_of_a_gaussian_prior(sigma: float) -> None:
    problem = gaussian_problem()
    x = begin(problem.measurement, problem.prior, sigma, BatchNoise(0, 20_000))
    variance = problem.variance + sigma**2
    assert ((x.mean(0) - problem.mean[0]).abs() <= 4.5 * (variance / 20_000).sqrt()).all()
    assert float((x.var(0) / variance).mean()) == pytest.approx(1, abs=0.02)


def weighs_noise(sampler: Any) -> bool:
    """Whether the noise level decides how strongly the data pull."""
    ignored = any(fits(sampler, name, given) for name, given in IGNORE_NOISE)
    return not ignored and getattr(sampler, "guidance", "calibrated") == "calibrated"


@pytest.mark.parametrize("sampler", [entry for entry in variants() if weighs_noise(entry.values[0])])
def test_with_boundless_noise_a_likelihood_sampler_draws_from_the_prior(sampler: Any) -> None:
    given = gaussian_problem(double=False).measurement
    prior = typing.cast("GaussianPrior", gaussian_problem(double=False).prior)
    operator = Mask(torch.arange(32).view(1, 32) % 2 == 0) if "selecting" in needs_of(sampler) else given.operator
    y = operator.apply(given.y)
    hopeless = Measurement(y, operator, Gaussian(sigma=1e6), given.shape)
    rms, ratio = prior_ratio(draw(blind(sampler), hopeless, prior, BatchNoise(0, 2000)), prior)
    assert rms <= 0.08
    low, high = prior_band(sampler)
    assert low <= ratio <= high, ratio


@pytest.mark.parametrize("sampler", [mmps.MMPS(steps=300), pigdm.PiGDM(steps=300), DiffPIR(steps=300)], ids=repr)
def test_with_the_identity_and_an_exact_prior_of_one_variance_the_posterior_is_wieners(sampler: Any) -> None:
    """All pixels alike: then one number is the whole error covariance, and the methods that take one are right."""
    measurement, _ = gaussian_image(Identity(), sigma=0.3)
    posterior = 1 / (1 / 0.5 + 1 / 0.3**2)
    prior = GaussianPrior(torch.full((1, 6, 5), 0.5, dtype=torch.float64))
    samples = draw(sampler, measurement, prior, BatchNoise(0, 500))
    bias = (samples.mean(0) - posterior * measurement.y[0] / 0.3**2) / posterior**0.5
    assert float(bias.square().mean().sqrt()) <= 0.07  # of which .045 is scatter
    assert 0.94 <= float(samples.var(0).mean() / posterior) <= 1.02


def test_with_the_identity_decoupled_gives_the_wiener_posterior() -> None:
    measurement, prior = gaussian_image(Identity(), sigma=0.3)
    variance = 1 / (1 / prior.variance + 1 / 0.3**2)
    wiener = variance * measurement.y[0] / 0.3**2
    samples = draw(EXACT, measurement, prior, BatchNoise(0, 20_000))
    assert ((samples.mean(0) - wiener).abs() <= 4.5 * (variance / 20_000).sqrt()).all()
    assert float((samples.var(0) / variance).mean()) == pytest.approx(1, abs=0.02)


def test_truth_and_sample_are_two_posterior_sd_squared_apart() -> None:
    """Draw (x, y), then x' given y: E (x - x')^2 = 2 posterior variance, coordinate by coordinate."""
    count = 20_000
    problem = gaussian_problem()
    prior, given = typing.cast("GaussianPrior", problem.prior), problem.measurement
    generator = torch.Generator().manual_seed(8)
    truth = prior.variance.sqrt() * torch.randn(count, 1, 1, 32, generator=generator, dtype=torch.float64)
    y = given.operator.apply(truth) + 0.1 * torch.randn(count, 1, 1, 32, generator=generator, dtype=torch.float64)
    samples = draw(EXACT, Measurement(y, given.operator, given.noise, given.shape), prior, BatchNoise(1, count))
    ratio = (truth - samples).square().mean(0) / (2 * problem.variance)
    assert float(ratio.mean()) == pytest.approx(1, abs=0.01)
    assert float((ratio - 1).abs().max()) <= 0.06


@pytest.mark.parametrize("noise", [0.05, "auto"])
@pytest.mark.parametrize("sampler", variants())
def test_units_do_not_matter(sampler: Any, noise: Any) -> None:
    """Restoring 2 image - 1 gives 2 result - 1, for a noise of twice the size."""
    rng = np.random.default_rng(6)
    image = np.cumsum(rng.standard_normal((16, 12)), axis=1) * 0.2
    mask = rng.random(image.shape) < 0.3
    variance = torch.from_numpy(0.05 + rng.random((1, *image.shape))).float()
    settings = {"prior": GaussianPrior(variance), "sampler": sampler, "samples": 2, "device": "cpu"}
    first = restore(image, mask, noise=noise, **settings)
    other = restore(2 * image - 1, mask, noise=noise if noise == "auto" else 2 * noise, **settings)
    assert np.allclose(other.samples, 2 * first.samples - 1, rtol=0, atol=2e-3 * np.ptp(image))
    assert other.misfit == pytest.approx(first.misfit, rel=2e-2)


def test_samplers_leave_the_state_of_gradients_alone() -> None:
    measurement, prior = gaussian_image()
    with torch.no_grad():
        check = draw(DPS(steps=3), measurement, prior, KeyedNoise(0, [0]))
    assert torch.equal(check, draw(DPS(steps=3), measurement, prior, KeyedNoise(0, [0])))


# --- The choice -------------------------------------------------------------------------------------------------------


def test_auto_chooses_by_the_operator_and_says_why() -> None:
    rng = np.random.default_rng(0)
    linear, prior = gaussian_image()
    curved = PhaseRetrieval.example((6, 5), rng)
    phase = Measurement(curved.apply(torch.zeros(1, 1, 6, 5, dtype=torch.float64)), curved, Gaussian(sigma=0.1), (1, 6, 5))
    for measurement, name in ((linear, "decoupled"), (phase, "dps")):
        sampler, said = chosen(Auto(steps=7), measurement, prior)
        assert sampler.name == name and sampler.steps == 7
        assert said["chosen_sampler"]["name"] == name and "linear" in said["chosen_because"]
    assert chosen(DPS(), linear, prior) == (DPS(), {})
    same = draw(Auto(steps=5), linear, prior, KeyedNoise(0, range(2)))
    assert torch.equal(same, draw(Decoupled(steps=5, jacobian=True), linear, prior, KeyedNoise(0, range(2))))


def test_the_result_says_what_auto_chose() -> None:
    image = np.random.default_rng(0).standard_normal((12, 12))
    prior = GaussianPrior(torch.full((1, 12, 12), 0.3))
    result = restore(image, noise=0.1, prior=prior, sampler="auto", steps=3, samples=2, device="cpu")
    assert result.provenance["chosen_sampler"]["name"] == "decoupled" and result.calls == 3
    assert result.provenance["chosen_sampler"]["jacobian"] is True
    frozen = restore(image, noise=0.1, prior=Frozen(prior.variance), sampler="auto", steps=3, samples=2, device="cpu")
    plain = restore(image, noise=0.1, prior=prior, sampler="decoupled", steps=3, samples=2, device="cpu")
    assert np.array_equal(frozen.mean, plain.mean)  # a prior without gradients does without
