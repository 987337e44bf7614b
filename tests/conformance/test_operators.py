from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffprior.measurement import Measurement
from napari_diffprior.noise.gaussian import Gaussian
from napari_diffprior.operators.blur import Blur
from napari_diffprior.operators.compose import Compose
from napari_diffprior.operators.contract import adjoint, domain_of, embed_measured, is_linear, mean_gain
from napari_diffprior.operators.identity import Identity
from napari_diffprior.operators.mask import Mask
from napari_diffprior.priors.covariance import Diagonal
from napari_diffprior.priors.spectrum import SpectrumTable
from napari_diffprior.registry import registered
from napari_diffprior.rng import BatchNoise, KeyedNoise
from napari_diffprior.samplers.guidance import settled
from napari_diffprior.testing import check_operator

OPERATORS = sorted(registered("operator"))
SHAPES = st.tuples(st.integers(1, 14), st.integers(1, 14))
SEEDS = st.integers(0, 2**32 - 1)
# Without a preconditioner the iterations amplify rounding: at most 4e-9 in 300 draws of "function", 1.2e-6 in 40 of projections.
ROUNDING = {"function": 1e-7, "radon": 1e-5}
LINEAR = [name for name in OPERATORS if is_linear(registered("operator")[name].example((6, 7), np.random.default_rng(0)))]


def example(name: str, shape: tuple[int, int], seed: int) -> Any:
    return registered("operator")[name].example(shape, np.random.default_rng(seed))


def spectrum() -> SpectrumTable:
    """A red spectrum: an error that is correlated between neighbours."""
    frequencies = np.linspace(0, 0.75, 20)
    power = 0.5 / (1 + (8 * frequencies) ** 2)
    return SpectrumTable(np.array([0.1, 1.0, np.inf]), frequencies, np.stack([0.1 * power, power, 2 * power]))


def covariances(shape: tuple[int, int, int], seed: int) -> list[Any]:
    generator = torch.Generator().manual_seed(seed % 2**31)
    variance = 0.05 + torch.rand(*shape, generator=generator, dtype=torch.float64)
    stationary = spectrum().covariance(0.5, shape, variance)
    local = stationary.scaled(torch.tensor([1.5], dtype=torch.float64)).in_places(0.1 + 3 * variance[None])
    return [Diagonal(variance), stationary, local]


def dense(apply: Any, shape: tuple[int, ...]) -> torch.Tensor:
    """Matrix of a linear map on images of one sample's shape, column by column."""
    size = int(np.prod(shape))
    return apply(torch.eye(size, dtype=torch.float64).view(size, *shape)).flatten(1).T


def problem(name: str, shape: tuple[int, int], seed: int, batch: int = 1) -> tuple[Measurement, torch.Tensor]:
    """A random measurement and random denoised images."""
    operator = example(name, shape, seed)
    image = (1, *domain_of(operator, shape))
    generator = torch.Generator().manual_seed(seed % 2**31)
    mean = torch.randn(batch, *image, generator=generator, dtype=torch.float64)
    y = operator.apply(torch.randn(1, *image, generator=generator, dtype=torch.float64))
    y = y + 0.3 * torch.randn(y.shape, generator=generator, dtype=torch.float64)
    return Measurement(y, operator, Gaussian(sigma=0.3), image), mean


def test_the_registry_has_the_operators_of_the_package() -> None:
    described = {"blur", "compose", "downsample", "fourier", "function", "identity", "mask", "motion", "phase", "radon", "stack"}
    assert described | {"varying"} <= set(OPERATORS)


@pytest.mark.parametrize("name", OPERATORS)
@given(shape=SHAPES, seed=SEEDS)
@settings(max_examples=40)
def test_operator_conforms(name: str, shape: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    check_operator(registered("operator")[name].example(shape, rng), shape, rng)


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_conforms_with_three_channels(name: str) -> None:
    check_operator(example(name, (9, 6), 3), (9, 6), np.random.default_rng(3), channels=3)


@given(shape=st.tuples(*[st.integers(1, 7)] * 3), seed=SEEDS)
@settings(max_examples=25)
def test_blur_conforms_in_three_dimensions(shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    check_operator(Blur.example(shape, rng), shape, rng)


class ForgottenConjugate(Blur):
    """A planted bug: the adjoint filters with the transfer function and not with its conjugate."""

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return self._filter(self.embed(y), self.spectrum)


class ShiftedEmbedding(Blur):
    """A planted bug: the canvas is off by one pixel, in embed alone."""

    def embed(self, y: torch.Tensor) -> torch.Tensor:
        return super().embed(y).roll(1, -1)


class ScaledAdjoint(Mask):
    """A planted bug: a factor of 1.000001 in the adjoint."""

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return super().adjoint(y) * (1 + 1e-6)


class SharedGain(Mask):
    """A planted bug: the measurement is normalised by the whole batch."""

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return super().apply(x) / x.norm()


class Curved(Mask):
    """A planted bug: not linear, without saying so."""

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return super().apply(x) + 1e-3 * super().apply(x).square()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (ForgottenConjugate, "adjoint"),
        (ShiftedEmbedding, "differ|adjoint|embed"),
        (ScaledAdjoint, "adjoint is wrong"),
        (SharedGain, "batch"),
        (Curved, "linear"),
    ],
)
def test_a_planted_bug_is_caught(wrong: Any, message: str) -> None:
    rng = np.random.default_rng(0)
    if issubclass(wrong, Blur):
        bad = wrong(torch.from_numpy(rng.random((3, 4)) + 0.1), (8, 7))
    else:
        bad = wrong(torch.from_numpy(rng.random((8, 7)) < 0.5))
    with pytest.raises(AssertionError, match=message):
        check_operator(bad, (8, 7), rng)


@pytest.mark.parametrize("name", LINEAR)
@given(shape=st.tuples(st.integers(1, 6), st.integers(1, 6)), seed=SEEDS)
@settings(max_examples=15)
def test_conditional_mean_is_stationary_and_equals_a_dense_solve(name: str, shape: tuple[int, int], seed: int) -> None:
    measurement, mean = problem(name, shape, seed)
    operator = measurement.operator
    for error in covariances((1, *mean.shape[2:]), seed):
        x = measurement.condition(mean, error, None, tolerance=1e-12, iterations=500)
        # Stationary: x - D = R A^T (y - A x) / sigma^2.
        pulled = error.apply(measurement.adjoint(measurement.residual(x))) / 0.3**2
        assert torch.allclose(x - mean, pulled, rtol=0, atol=1e-8)
        a, r = dense(operator.apply, mean.shape[1:]), dense(error.apply, mean.shape[1:])
        system = a @ r @ a.T + 0.3**2 * torch.eye(len(a), dtype=torch.float64)
        u = torch.linalg.solve(system, (measurement.y - operator.apply(mean)).flatten())
        assert torch.allclose(x.flatten(), mean.flatten() + r @ a.T @ u, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["blur", "compose", "identity", "mask", "motion"])
@pytest.mark.parametrize("drawn", [False, True])
@pytest.mark.parametrize("local", [False, True])
def test_a_data_step_is_the_same_in_modes_and_in_measurements(
    name: str, drawn: bool, local: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    measurement, mean = problem(name, (9, 8), 1, batch=3)
    error = spectrum().covariance(0.5, mean.shape[1:], mean)
    error = error.scaled(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64))
    error = error.in_places(mean.abs() + 0.1) if local else error
    found = []
    for longest in (1e9, 0.0):
        monkeypatch.setattr("napari_diffprior.measurement.LONGEST_GAP", longest)
        found.append(measurement.condition(mean, error, KeyedNoise(0, range(3)) if drawn else None, 1e-12, 500))
    assert torch.allclose(*found, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", LINEAR)
def test_conditional_draws_have_the_exact_mean_and_covariance(name: str) -> None:
    draws = 1500
    measurement, mean = problem(name, (4, 5), 7)
    a = dense(measurement.operator.apply, mean.shape[1:])
    for error in covariances((1, *mean.shape[2:]), 7):
        r = dense(error.apply, mean.shape[1:])
        gain = r @ a.T @ torch.linalg.inv(a @ r @ a.T + 0.3**2 * torch.eye(len(a), dtype=torch.float64))
        exact = mean.flatten() + gain @ (measurement.y - measurement.operator.apply(mean)).flatten()
        covariance = r - gain @ a @ r
        noise = BatchNoise(1, draws)
        drawn = measurement.condition(mean.expand(draws, -1, -1, -1), error, noise, 1e-4, 200).flatten(1)
        probes = torch.randn(30, r.shape[0], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        spread = (probes @ covariance @ probes.T).diagonal()
        centred = (drawn - exact) @ probes.T
        assert (centred.mean(0).abs() <= 5 * (spread / draws).sqrt()).all()
        assert ((centred.square().mean(0) / spread - 1).abs() <= 6 * (2 / draws) ** 0.5).all()


@pytest.mark.parametrize("name", LINEAR)
@given(seed=SEEDS)
@settings(max_examples=5)
def test_a_batch_of_draws_equals_single_draws(name: str, seed: int) -> None:
    measurement, mean = problem(name, (5, 6), seed, batch=4)
    stationary = 2 if name in ROUNDING else 3  # an error that changes from place to place is for filters alone
    for error in covariances((1, *mean.shape[2:]), seed)[:stationary]:
        together = measurement.condition(mean, error, KeyedNoise(seed, range(4)), 1e-3, 50)
        for sample in range(4):
            alone = measurement.condition(mean[sample : sample + 1], error, KeyedNoise(seed, [sample]), 1e-3, 50)
            assert torch.allclose(together[sample], alone[0], rtol=0, atol=ROUNDING.get(name, 1e-9))


@pytest.mark.parametrize("name", LINEAR)
def test_an_operator_without_adjoint_gets_one_from_autograd(name: str) -> None:
    class OnlyApply:
        def __init__(self, inner: Any) -> None:
            self.apply = inner.apply
            self.domain = domain_of(inner, (6, 7))

    operator = example(name, (6, 7), 5)
    bare = OnlyApply(operator)
    check_operator(bare, (6, 7), np.random.default_rng(5))
    shape = (1, *domain_of(operator, (6, 7)))
    y = operator.apply(torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(adjoint(bare, y, shape), adjoint(operator, y, shape), rtol=0, atol=1e-12)


def test_blur_does_not_wrap_and_needs_no_border() -> None:
    from scipy.ndimage import convolve

    rng = np.random.default_rng(2)
    psf, scene = rng.random((5, 3)) + 0.1, rng.random((20, 18))
    operator = Blur(torch.from_numpy(psf), (12, 12))
    canvas = torch.zeros(1, 1, *operator.domain, dtype=torch.float64)
    height, width = (min(scene.shape[i], operator.domain[i]) for i in range(2))
    canvas[0, 0, :height, :width] = torch.from_numpy(scene[:height, :width])
    expected = convolve(canvas[0, 0].numpy(), psf / psf.sum(), mode="constant")
    assert np.allclose(operator.apply(canvas)[0, 0], expected[2:14, 1:13], atol=1e-12)


def test_a_3d_blur_is_the_convolution_with_what_lies_around() -> None:
    from scipy.ndimage import convolve

    rng = np.random.default_rng(3)
    psf, scene = rng.random((3, 4, 5)), rng.random((1, 1, 9, 10, 12))
    operator = Blur(torch.from_numpy(psf), (7, 6, 8))
    assert operator.domain == (9, 10, 12)
    expected = convolve(scene[0, 0], psf / psf.sum(), mode="wrap", origin=0)
    assert np.allclose(operator.apply(torch.from_numpy(scene))[0, 0], expected[1:8, 2:8, 2:10], atol=1e-12)


@pytest.mark.parametrize("name", LINEAR)
def test_mean_gain_is_near_the_mean_eigenvalue(name: str) -> None:
    operator = example(name, (12, 12), 4)
    shape = (1, *domain_of(operator, (12, 12)))
    a = dense(operator.apply, shape)
    exact = float((a @ a.T).diagonal().mean())
    like = operator.apply(torch.zeros(1, *shape, dtype=torch.float64))
    assert mean_gain(operator, shape, like) == pytest.approx(exact, rel=0.5)


def test_embed_measured_knows_gaps_from_blur() -> None:
    y = torch.ones(1, 1, 6, 7, dtype=torch.float64)
    keep = torch.ones(6, 7, dtype=torch.bool)
    keep[2:4, 2:5] = False
    gaps = Mask(keep)
    image, measured = embed_measured(gaps, gaps.apply(y), (1, 6, 7))
    assert measured is not None and torch.equal(measured[0, 0] == 1, keep)
    assert torch.equal(image, y)
    operator = Blur(torch.from_numpy(np.random.default_rng(0).random((3, 3))), (6, 7))
    assert embed_measured(operator, y, (1, *operator.domain))[1] is None


def variance_ratio(own: Any, error: Any) -> torch.Tensor:
    """Factor between two stationary errors of each image, the mean over its frequencies weighted by the second's power."""
    return own.power.flatten(1).sum(1) / error.power.sum()  # type: ignore[no-any-return]


def test_chance_does_not_say_that_an_image_has_larger_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wide blur little of the error is in the data: a bit more noise than usual would be worth a factor of ten."""
    operator = Blur.gaussian(3.0, (24, 24))
    shape = (1, *operator.domain)
    error, noise = spectrum().covariance(0.02, shape, torch.zeros(1, dtype=torch.float64)), BatchNoise(0, 200)
    y = 0.1 * noise.normal((1, 24, 24), torch.zeros(1, dtype=torch.float64))
    measurement = Measurement(y, operator, Gaussian(sigma=0.1), shape)

    def factors() -> torch.Tensor:
        own = measurement.own_error(torch.zeros(1, *shape, dtype=torch.float64), error)
        return variance_ratio(own, error)

    assert factors().min() >= 1
    assert factors().mean() < 1.4 and factors().max() < 4
    monkeypatch.setattr("napari_diffprior.measurement.SPREAD", 1e9)  # the residual alone
    assert factors().max() > 10


def test_an_image_with_larger_errors_than_the_held_out_ones_says_so() -> None:
    operator = Mask(torch.rand(48, 48, generator=torch.Generator().manual_seed(0)) < 0.5)
    error, noise = spectrum().covariance(0.5, (1, 48, 48), torch.zeros(1, dtype=torch.float64)), BatchNoise(0, 200)
    truth = torch.zeros(200, 1, 48, 48, dtype=torch.float64)
    y = operator.apply(truth) + 0.05 * noise.normal((1, len(operator.index)), truth)
    measurement = Measurement(y, operator, Gaussian(sigma=0.05), (1, 48, 48))
    stretch = torch.tensor([1.0, 2.0], dtype=torch.float64).repeat(100).view(-1, 1, 1, 1)
    own = measurement.own_error(truth + stretch * error.draw(noise, truth), error)
    factors = variance_ratio(own, error)
    assert factors.min() >= 1
    assert factors[0::2].mean() == pytest.approx(1.0, abs=0.15)
    assert factors[1::2].mean() == pytest.approx(4.0, rel=0.1)
    exact = Diagonal(torch.ones(1, 48, 48, dtype=torch.float64))
    assert measurement.own_error(truth, exact) is exact


@pytest.mark.parametrize("missing", [0.0, 0.5])
@pytest.mark.parametrize("blur", [0.0, 1.0])
@pytest.mark.parametrize("block", [512, 60])
def test_the_frequencies_of_larger_errors_are_found_in_the_residual(
    missing: float, blur: float, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors of eight times the power at 0.08 to 0.25 cycles per pixel along y, as fine stripes would leave them."""
    monkeypatch.setattr("napari_diffprior.texture.BLOCK", block)
    keep = Mask(torch.rand(96, 96, generator=torch.Generator().manual_seed(0)) >= missing)
    operator = Compose(keep, Blur.gaussian(blur, (96, 96))) if blur else keep
    shape, noise = (1, *domain_of(operator, (96, 96))), BatchNoise(0, 20)
    zero = torch.zeros(20, *shape, dtype=torch.float64)
    error = spectrum().covariance(0.5, shape, zero)
    down = torch.fft.fftfreq(error.grid[0], dtype=torch.float64)[:, None].abs()
    right = torch.fft.rfftfreq(error.grid[1], dtype=torch.float64)
    radius = torch.hypot(down, right)
    truth = torch.where((down > right) & (radius > 0.08) & (radius < 0.25), 8.0, 1.0)
    y = operator.apply(zero) + 0.05 * noise.normal(operator.apply(zero).shape[1:], zero)
    measurement = Measurement(y, operator, Gaussian(sigma=0.05), shape)
    own: Any = measurement.own_error(error.scaled(truth.expand(20, 1, -1, -1)).draw(noise, zero), error)
    found = (own.power / error.power).mean((0, 1))
    middle = (radius > 0.12) & (radius < 0.17)
    assert float(found[middle & (down > 4 * right)].mean()) == pytest.approx(8, rel=0.25)
    assert float(found[middle & (right > 4 * down)].mean()) < 1.5
    assert float(found[radius < 0.05].mean()) < 1.5


@pytest.mark.parametrize(
    "operator", [Mask(torch.arange(64 * 64).view(64, 64) % 3 > 0), Blur.gaussian(0.7, (64, 64))], ids=["mask", "blur"]
)
@pytest.mark.parametrize("slope", [0.0, 0.4])
def test_an_error_that_grows_with_brightness_is_found_in_the_residual(operator: Any, slope: float) -> None:
    shape, noise = (1, *domain_of(operator, (64, 64))), BatchNoise(0, 20)
    zero = torch.zeros(20, *shape, dtype=torch.float64)
    error = spectrum().covariance(0.5, shape, zero)
    bright = torch.linspace(-1, 1, shape[2], dtype=torch.float64).view(1, 1, -1, 1) + zero
    share = 1 + slope * bright / bright.std()
    y = operator.apply(bright) + 0.05 * noise.normal(operator.apply(bright).shape[1:], bright)
    measurement = Measurement(y, operator, Gaussian(sigma=0.05), shape)
    own = measurement.own_error(bright + share.sqrt() * error.draw(noise, zero), error)
    found = own.amplitude.square()  # type: ignore[attr-defined]
    top, bottom = (found[:, :, rows].mean() for rows in (slice(-8, None), slice(0, 8)))
    assert float(top) == pytest.approx(float(share[0, 0, -8:].mean()), abs=0.2)
    assert float(bottom) == pytest.approx(float(share[0, 0, :8].mean()), abs=0.2)
    assert found.min() >= 0.1


def test_a_coarse_error_is_the_same_everywhere() -> None:
    """Its size in one place would say what is made up in another."""
    shape, operator = (1, 48, 48), Identity()
    frequencies = np.linspace(0, 0.75, 200)
    power = np.exp(-((frequencies / 0.02) ** 2)) + 1e-6
    coarse = SpectrumTable(np.array([0.1, 1.0, np.inf]), frequencies, np.stack([power] * 3))
    zero = torch.zeros(1, *shape, dtype=torch.float64)
    error, mean = coarse.covariance(0.5, shape, zero), torch.randn(1, *shape, dtype=torch.float64)
    assert error.clumps > 100
    own = Measurement(zero, operator, Gaussian(sigma=0.05), shape).own_error(mean, error)
    assert own.amplitude == 1.0  # type: ignore[attr-defined]


def test_detail_that_a_denoiser_took_for_noise_comes_back_from_the_data() -> None:
    operator = Mask(torch.rand(48, 48, generator=torch.Generator().manual_seed(0)) < 0.7)
    noise, shape = BatchNoise(0, 20), (1, 48, 48)
    detail = 0.1 * noise.normal(shape, torch.zeros(1, dtype=torch.float64))
    smooth = torch.zeros_like(detail)

    def settle(error: Any) -> tuple[Measurement, torch.Tensor]:
        y = operator.apply(detail) + 0.05 * noise.normal((1, len(operator.index)), detail)
        measurement = Measurement(y, operator, Gaussian(sigma=0.05), shape)
        prior: Any = SimpleNamespace(sigma_min=0.01, error=lambda sigma, shape, like: error)
        return measurement, settled(measurement, prior, smooth)

    measurement, found = settle(spectrum().covariance(0.02, shape, detail))
    seen = operator.apply(found - detail).square().mean().sqrt()
    assert measurement.misfit(smooth).min() > 3
    assert measurement.misfit(found).max() < 1
    assert seen < 0.05  # better than the measured values as they are
    assert settle(Diagonal(torch.ones(*shape, dtype=torch.float64)))[1] is smooth  # exact: nothing is left to say
