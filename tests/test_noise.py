from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import gammaln
from scipy.stats import gamma, norm

from napari_diffprior.intensity import Intensity
from napari_diffprior.measurement import Measurement
from napari_diffprior.noise.camera import estimate_camera
from napari_diffprior.noise.censored import Censored
from napari_diffprior.noise.gaussian import Gaussian
from napari_diffprior.noise.gaussian_map import GaussianMap
from napari_diffprior.noise.poisson import Poisson
from napari_diffprior.noise.poisson_gaussian import PoissonGaussian
from napari_diffprior.operators.identity import Identity
from napari_diffprior.operators.mask import Mask
from napari_diffprior.priors.analytic import GaussianPrior
from napari_diffprior.recipe import Recipe
from napari_diffprior.registry import registered
from napari_diffprior.restoration import make_recipe, restore
from napari_diffprior.rng import BatchNoise, KeyedNoise

CAMERA = PoissonGaussian(gain=0.02, offset=-0.9, read_noise=0.03)
MODELS = {
    "gaussian": Gaussian(sigma=0.1),
    "gaussian_map": GaussianMap(torch.linspace(0.05, 0.3, 12, dtype=torch.float64).view(1, 1, 3, 4)),
    "poisson": Poisson(gain=0.02, offset=-1.0),
    "poisson_gaussian": CAMERA,
    "censored": Censored(CAMERA, torch.tensor([math.inf, 0.2, math.inf], dtype=torch.float64).view(1, 1, 3, 1)),
}


def image(batch: int = 3) -> torch.Tensor:
    return torch.linspace(-0.8, 0.9, batch * 12, dtype=torch.float64).view(batch, 1, 3, 4)


def test_every_noise_model_is_tried_here() -> None:
    assert set(registered("noise")) <= set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_the_likelihood_is_per_sample_and_its_gradient_agrees_with_the_precision(name: str) -> None:
    model, mean = MODELS[name], image().requires_grad_()
    y = model.sample(mean.detach(), KeyedNoise(0, range(3)))
    values = model.nll(mean, y)
    alone = torch.stack([model.nll(mean[i : i + 1], y[i : i + 1])[0] for i in range(3)])
    assert values.shape == (3,) and torch.allclose(values, alone, rtol=1e-12)
    (slope,) = torch.autograd.grad(values.sum(), mean)
    weights = model.precision(mean.detach())
    assert torch.allclose(slope, weights * (mean.detach() - y), rtol=1e-9, atol=1e-9)  # what the data step relies on


@pytest.mark.parametrize("name", ["gaussian", "gaussian_map", "poisson", "poisson_gaussian"])
def test_samples_have_the_mean_and_the_variance_that_the_precision_says(name: str) -> None:
    model, mean, draws = MODELS[name], image(1), 20_000
    y = model.sample(mean.expand(draws, -1, -1, -1), BatchNoise(0, draws))
    variance = 1 / torch.as_tensor(model.precision(mean), dtype=torch.float64)
    assert ((y.mean(0) - mean[0]).abs() <= 4.5 * (variance / draws).sqrt()).all()
    assert ((y.var(0) / variance - 1).abs() < 0.06).all()


@pytest.mark.parametrize("name", MODELS)
def test_units_do_not_matter(name: str) -> None:
    """The density of (y - shift) / scale is scale times that of y, for each of the twelve measurements."""
    model, mean, scale, shift = MODELS[name], image(2), 7.0, -3.0
    y = model.sample(mean, KeyedNoise(1, range(2)))
    moved = model.rescaled(scale, shift)
    there = moved.nll((mean - shift) / scale, (y - shift) / scale)
    assert torch.allclose(there, model.nll(mean, y) - 12 * math.log(scale), rtol=1e-9)
    weights = torch.as_tensor(moved.precision((mean - shift) / scale), dtype=torch.float64)
    assert torch.allclose(weights / scale**2, torch.as_tensor(model.precision(mean), dtype=torch.float64), rtol=1e-9)


def test_only_the_intensity_map_moves_a_camera_to_the_model() -> None:
    intensity = Intensity(100.0, 1100.0)
    camera = intensity.noise_to_model(PoissonGaussian(gain=2.0, offset=90.0, read_noise=3.0))
    grey = torch.tensor([500.0], dtype=torch.float64).view(1, 1, 1, 1)
    variance = 2.0 * (500.0 - 90.0) + 9.0
    assert float(1 / camera.precision(intensity.to_model(grey))) == pytest.approx(variance / 500.0**2, rel=1e-12)


# --- T3: Poisson ------------------------------------------------------------------------------------------------------


def posterior(model: Any, y: float) -> tuple[float, float]:
    """Mean and variance of a rate with the prior Gamma(4, 2), by quadrature of the model's likelihood."""
    x = torch.linspace(1e-4, 25, 200_001, dtype=torch.float64)
    nll = model.nll(x.view(-1, 1, 1, 1), torch.full((1, 1, 1, 1), y, dtype=torch.float64)).numpy()
    weight = np.exp(-nll + nll.min()) * gamma(4, scale=0.5).pdf(x.numpy())
    weight /= weight.sum()
    mean = float(weight @ x.numpy())
    return mean, float(weight @ (x.numpy() - mean) ** 2)


def test_t3_photon_noise_gives_the_gamma_posterior() -> None:
    assert posterior(Poisson(gain=1.0), 5.0) == pytest.approx((3.0, 1.0), abs=1e-3)
    assert posterior(Poisson(gain=1.0), 0.0) == pytest.approx((4 / 3, 4 / 9), abs=2e-3)  # flat below a tenth of an electron


def test_t3_read_noise_by_the_shifted_poisson() -> None:
    """Exact 2.797 and 1.035; the shifted Poisson 2.76 and 1.08."""
    assert posterior(PoissonGaussian(gain=1.0, read_noise=1.0), 5.0) == pytest.approx((2.76, 1.08), abs=5e-3)

    class Exact:
        def nll(self, mean: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            x, count = mean.flatten().numpy()[:, None], np.arange(60)[None]
            counted = np.exp(count * np.log(x) - x - gammaln(count + 1))
            return -torch.log(torch.from_numpy((counted * norm(count, 1.0).pdf(float(y))).sum(1)))

    assert posterior(Exact(), 5.0) == pytest.approx((2.797, 1.035), abs=1e-3)


# --- The data step ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["poisson", "poisson_gaussian", "gaussian_map", "censored"])
def test_the_data_step_finds_the_most_likely_image(name: str) -> None:
    """The gradient of misfit plus prior vanishes there, whatever the weights were on the way."""
    prior = GaussianPrior(torch.full((1, 3, 4), 0.01, dtype=torch.float64))
    measurement = Measurement(MODELS[name].sample(image(1), KeyedNoise(3, [0])), Identity(), MODELS[name], (1, 3, 4))
    start, error = image(1) + 0.05, prior.error(math.inf, (1, 3, 4), image(1))
    x = measurement.condition(start, error, None, 1e-12, 200).requires_grad_()
    (slope,) = torch.autograd.grad(measurement.nll(x).sum(), x)
    balance = slope + (x.detach() - start) / 0.01
    assert float(balance.abs().max()) <= 0.02 * float(((x.detach() - start) / 0.01).abs().max())


def test_the_weights_are_those_of_the_mean_and_not_of_the_measurement() -> None:
    """Weights 1 / y would favour dark draws: many measurements of one flat image must come out unbiased."""
    model, flat = Poisson(gain=1.0), torch.full((1, 1, 100, 100), 6.0, dtype=torch.float64)
    y = model.sample(flat, KeyedNoise(0, [0]))
    measurement = Measurement(y, Identity(), model, (1, 100, 100))

    class Common:
        """One unknown brightness for all pixels, of variance 100."""

        mean_variance = 100.0

        def apply(self, x: torch.Tensor) -> torch.Tensor:
            return 100.0 * x.sum((-2, -1), keepdim=True).expand_as(x)

        def solve(self, x: torch.Tensor, operator: object, variance: float) -> None:
            return None

    x = measurement.condition(torch.full_like(flat, 3.0), Common(), None, 1e-10, 50)  # type: ignore[arg-type]
    assert float(x.mean()) == pytest.approx(float(y.mean()), abs=0.01)


def test_a_kept_bound_says_nothing_and_a_broken_one_pulls() -> None:
    y = torch.tensor([0.5, 0.5], dtype=torch.float64).view(1, 1, 1, 2)
    noise = Censored(Gaussian(sigma=0.1), y)
    measurement = Measurement(y, Identity(), noise, (1, 1, 2))
    prior = GaussianPrior(torch.ones(1, 1, 2, dtype=torch.float64))
    start = torch.tensor([2.0, 0.0], dtype=torch.float64).view(1, 1, 1, 2)
    x = measurement.condition(start, prior.error(math.inf, (1, 1, 2), y), None, 1e-10, 50)
    assert float(x[..., 0]) == pytest.approx(2.0) and float(x[..., 1]) == pytest.approx(0.5 / 1.01)
    assert measurement.residual(start).flatten().tolist() == [0.0, 0.5]


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_equals_singles(name: str) -> None:
    prior = GaussianPrior(torch.full((1, 3, 4), 0.05, dtype=torch.float64))
    measurement = Measurement(MODELS[name].sample(image(1), KeyedNoise(3, [0])), Identity(), MODELS[name], (1, 3, 4))
    error = prior.error(math.inf, (1, 3, 4), image(1))
    together = measurement.condition(image(), error, KeyedNoise(5, range(3)), 1e-10, 100)
    for sample in range(3):
        alone = measurement.condition(image()[sample : sample + 1], error, KeyedNoise(5, [sample]), 1e-10, 100)
        assert torch.allclose(together[sample], alone[0], rtol=0, atol=1e-8)


# --- Estimates from one image -----------------------------------------------------------------------------------------


def scene() -> np.ndarray[Any, Any]:
    """Photograph of filaments, smoothed so that its own noise (a peak of 5400 electrons) does not count; 0 to 1."""
    from scipy.ndimage import gaussian_filter

    from napari_diffprior import samples

    smooth = gaussian_filter(samples.bpae()[2].astype(np.float64), 1.0)
    return (smooth - smooth.min()) / np.ptp(smooth)


@pytest.mark.parametrize("peak", [50, 300, 2000])
@pytest.mark.parametrize("gain", [0.5, 4.0])
@pytest.mark.parametrize("electrons", [1.5, 4.0])
def test_gain_and_read_noise_within_ten_per_cent(peak: float, gain: float, electrons: float) -> None:
    rng = np.random.default_rng(int(peak * 10 + gain + electrons))
    light = scene() * peak
    y = 100 + gain * rng.poisson(light) + rng.normal(0, gain * electrons, light.shape)
    measured = rng.random(light.shape) < 0.97
    found = estimate_camera(np.where(measured, y, 0.0), measured, offset=100.0)
    assert found.gain == pytest.approx(gain, rel=0.1)
    assert found.read_noise == pytest.approx(gain * electrons, rel=0.1)
    free = estimate_camera(y, measured)
    # What the likelihood knows: the grey level at which the variance is zero.
    exact = 100 - gain * electrons**2
    assert free.gain == pytest.approx(gain, rel=0.1)
    assert free.offset - free.read_noise**2 / free.gain == pytest.approx(exact, abs=0.02 * gain * peak + 0.3 * gain * electrons)


def test_what_is_known_of_a_camera_is_kept() -> None:
    rng = np.random.default_rng(0)
    y = 100 + 2 * rng.poisson(scene() * 200) + rng.normal(0, 4, (256, 256))
    measured = np.ones(y.shape, bool)
    for known in ({"gain": 2.0}, {"offset": 100.0}, {"read_noise": 4.0}, {"gain": 2.0, "offset": 100.0, "read_noise": 4.0}):
        found = PoissonGaussian.estimate(y, measured, known)
        assert {name: getattr(found, name) for name in known} == known
        assert found.gain == pytest.approx(2.0, rel=0.1) and found.read_noise == pytest.approx(4.0, rel=0.2)
    assert Poisson.estimate(y, measured, {"offset": 90.0}).offset == 90.0


def test_noise_that_does_not_grow_is_no_camera() -> None:
    y = 100 + 500 * scene() + np.random.default_rng(0).normal(0, 1, (256, 256)) * (1.2 - scene())
    with pytest.raises(ValueError, match="does not grow with the brightness: give the gain"):
        estimate_camera(y, np.ones(y.shape, bool))
    known = {"gain": 2.0, "offset": 100.0, "read_noise": 3.0}
    assert estimate_camera(y[:9, :9], np.ones((9, 9), bool), **known) == PoissonGaussian(**known)  # nothing is left to estimate
    with pytest.raises(ValueError, match="too few measured pixels"):
        estimate_camera(y[:9, :9], np.ones((9, 9), bool))


# --- Recipes and results ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise": "poison"}, "did you mean poisson"),
        ({"noise": "auto", "gain": 2.0}, "'auto' has no gain: choose poisson-gaussian"),
        ({"noise": "poisson", "read_noise": 2.0}, "'poisson' has no read_noise"),
        ({"noise": -1.0}, "above 0"),
        ({"noise": "poisson-gaussian", "gain": 0.0}, "gain = 0.0 is not possible"),
    ],
)
def test_a_noise_that_cannot_be_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_recipe(**settings)


def test_a_result_says_which_noise_it_took() -> None:
    rng = np.random.default_rng(0)
    y = 100 + 2 * rng.poisson(scene()[:64, :64] * 200) + rng.normal(0, 4, (64, 64))
    prior = GaussianPrior(torch.full((1, 64, 64), 0.2))
    settings: dict[str, Any] = {"prior": prior, "steps": 3, "samples": 1, "device": "cpu"}
    found = restore(y, noise="poisson-gaussian", gain=2.0, offset=100.0, read_noise=4.0, **settings)
    assert found.provenance["noise_model"] == {"name": "poisson_gaussian", "gain": 2.0, "offset": 100.0, "read_noise": 4.0}
    assert found.provenance["noise_sigma"] == pytest.approx(math.sqrt(2 * (y.mean() - 100) + 16), rel=0.05)
    estimated = restore(y, noise="poisson-gaussian", **settings).provenance["noise_model"]
    assert estimated["gain"] == pytest.approx(2.0, rel=0.3)
    assert restore(y, noise=5.0, **settings).provenance["noise_model"] == {"name": "gaussian", "sigma": 5.0}


def test_a_camera_knows_dark_pixels_better_than_bright_ones() -> None:
    """Its deviation is the error's size for both; that of a single sigma is far off for the dark ones."""
    rng = np.random.default_rng(4)
    truth = np.where(rng.random((48, 48)) < 0.5, 1.0, 40.0)
    y = rng.poisson(truth).astype(np.float64)
    prior = GaussianPrior(torch.full((1, 48, 48), 1.0))
    settings: dict[str, Any] = {"prior": prior, "steps": 12, "samples": 8, "device": "cpu"}
    camera = restore(y, noise="poisson", gain=1.0, offset=0.0, **settings)
    plain = restore(y, noise=math.sqrt(float(y.mean())), **settings)

    def honesty(result: Any, pixels: Any) -> float:
        return float(np.sqrt(np.square(result.mean - truth)[pixels].mean() / np.square(result.std)[pixels].mean()))

    dark = truth == 1.0
    assert 0.75 < honesty(camera, dark) < 1.33 and 0.75 < honesty(camera, ~dark) < 1.33
    assert honesty(plain, dark) < 0.5
    assert camera.std[dark].mean() < 0.35 * camera.std[~dark].mean()


def test_a_recipe_with_a_camera_comes_back_from_json() -> None:
    from napari_diffprior.params import from_dict, to_dict

    recipe = make_recipe(noise="poisson-gaussian", gain=1.5, read_noise=2.0)
    assert from_dict(Recipe, to_dict(recipe)) == recipe


def test_masked_pixels_have_no_weight_in_a_camera_either() -> None:
    keep = torch.tensor([[True, False, True, True]])
    mask = Mask(keep)
    camera = Poisson(gain=0.01, offset=-1.0)
    x = torch.zeros(2, 1, 1, 4, dtype=torch.float64)
    assert camera.precision(mask.apply(x)).shape == (2, 1, 3)
