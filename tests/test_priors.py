from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffprior.priors.analytic import GaussianMixturePrior, GaussianPrior, StationaryPrior
from napari_diffprior.priors.network import EdmPrior, NetworkPrior, pad_to_multiple
from napari_diffprior.priors.sigma import SigmaTable
from napari_diffprior.priors.spectrum import SpectrumTable, radial_power, white_spectrum
from napari_diffprior.priors.store import PICKLES, WEIGHTS, find_prior, load_prior, read_spectrum, write_spectrum
from napari_diffprior.testing import check_prior

BETAS = np.linspace(1e-4, 0.02, 1000)
ABAR = np.cumprod(1 - BETAS)
TABLE = SigmaTable(0.5 * (np.log1p(-ABAR) - np.log(ABAR)))
SIDE = 4


def mixture() -> GaussianMixturePrior:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(5, SIDE * SIDE, generator=generator, dtype=torch.float64)
    return GaussianMixturePrior(means, torch.arange(1.0, 6.0, dtype=torch.float64), variance=0.1)


class PerfectNetwork:
    """A network that predicts, in one of five ways, exactly what the mixture's denoiser implies."""

    def __init__(self, kind: str, sigma_data: float = 0.5) -> None:
        self.kind, self.sigma_data = kind, sigma_data
        self.times: list[torch.Tensor] = []

    def level(self, t: torch.Tensor) -> torch.Tensor:
        if self.kind.startswith("edm"):
            return (4 * t).exp()
        return torch.from_numpy(np.exp(np.interp(t.numpy(), np.arange(1000), TABLE.log_sigmas)))

    def __call__(self, inner: torch.Tensor, t: torch.Tensor) -> Any:
        assert t.shape == (len(inner),) and t.is_floating_point()
        self.times.append(t)
        sigma = self.level(t)
        s = sigma.view(-1, 1, 1, 1)
        if self.kind.startswith("edm"):
            total = (s**2 + self.sigma_data**2).sqrt()
            x = inner * total
            sign = -1 if self.kind == "edm v_prediction" else 1
            output = sign * (mixture()(x, sigma) - (self.sigma_data / total) ** 2 * x) / (s * self.sigma_data / total)
            return SimpleNamespace(sample=output)
        abar = 1 / (1 + s**2)  # the textbook formulas, in x_t = sqrt(abar) x0 + sqrt(1 - abar) e
        x0 = mixture()(inner / abar.sqrt(), sigma)
        noise = (inner - abar.sqrt() * x0) / (1 - abar).sqrt()
        output = {
            "epsilon": noise,
            "sample": x0,
            "v_prediction": abar.sqrt() * noise - (1 - abar).sqrt() * x0,
            "learned variance": torch.cat([noise, torch.full_like(noise, 7.0)], 1),
        }[self.kind]
        return SimpleNamespace(sample=output)


def wrapped(kind: str) -> NetworkPrior:
    network = PerfectNetwork(kind)
    if kind.startswith("edm"):
        return EdmPrior(network, TABLE, "v_prediction" if kind == "edm v_prediction" else "epsilon", (SIDE, SIDE))
    return NetworkPrior(network, TABLE, "epsilon" if kind == "learned variance" else kind, (SIDE, SIDE))  # type: ignore[arg-type]


KINDS = ["epsilon", "v_prediction", "sample", "learned variance", "edm", "edm v_prediction"]


@pytest.mark.parametrize("kind", KINDS)
@given(logs=st.lists(st.floats(math.log(0.02), math.log(100)), min_size=1, max_size=4), seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_the_parametrisations_agree_with_the_exact_denoiser(kind: str, logs: list[float], seed: int) -> None:
    sigma = torch.tensor(logs, dtype=torch.float64).exp()
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(logs), 1, SIDE, SIDE, generator=generator, dtype=torch.float64) * (1 + sigma.view(-1, 1, 1, 1))
    assert torch.allclose(wrapped(kind)(x, sigma), mixture()(x, sigma), rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_wrapped_network_is_a_prior(kind: str) -> None:
    check_prior(wrapped(kind), (1, SIDE, SIDE))


@pytest.mark.parametrize("wrong", ["sample", "v_prediction"])
def test_a_wrong_parametrisation_would_be_seen(wrong: str) -> None:
    prior = NetworkPrior(PerfectNetwork("epsilon"), TABLE, wrong, (SIDE, SIDE))  # type: ignore[arg-type]
    x = torch.ones(1, 1, SIDE, SIDE, dtype=torch.float64)
    assert not torch.allclose(prior(x, x.new_ones(1)), mixture()(x, x.new_ones(1)), atol=1e-2)


@pytest.mark.parametrize(
    ("prior", "shape"),
    [
        (GaussianPrior(torch.linspace(0.1, 1, 30, dtype=torch.float64).view(1, 5, 6), mean=0.3), (1, 5, 6)),
        (mixture(), (1, SIDE, SIDE)),
        (StationaryPrior(1 / (1 + torch.arange(24, dtype=torch.float64).view(6, 4)) ** 2, (6, 6)), (1, 6, 6)),
    ],
    ids=["gaussian", "mixture", "stationary"],
)
def test_analytic_priors_conform(prior: Any, shape: tuple[int, int, int]) -> None:
    if isinstance(prior, StationaryPrior):  # a real field's spectrum is even along the first axis
        prior.power = (prior.power + prior.power[torch.tensor([0, 5, 4, 3, 2, 1])]) / 2
    check_prior(prior, shape)


def test_the_mixture_denoiser_is_the_posterior_mean() -> None:
    prior, generator = mixture(), torch.Generator().manual_seed(2)
    x = torch.randn(1, 1, SIDE, SIDE, generator=generator, dtype=torch.float64)
    count, sigma = 400_000, 1.5
    chosen = prior.weights.multinomial(count, replacement=True, generator=generator)
    clean = prior.means[chosen] + 0.1**0.5 * torch.randn(count, SIDE * SIDE, generator=generator, dtype=torch.float64)
    weight = (-0.5 * (clean - x.flatten()).square().sum(1) / sigma**2).softmax(0)
    assert torch.allclose(weight @ clean, prior(x, x.new_tensor([sigma])).flatten(), rtol=0, atol=0.05)


def test_check_prior_catches_a_batch_that_mixes() -> None:
    class Mixing(GaussianPrior):
        def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return super().__call__(x, sigma) / x.norm()

    with pytest.raises(AssertionError, match="batch"):
        check_prior(Mixing(torch.ones(1, 3, 3, dtype=torch.float64)), (1, 3, 3))


def test_check_prior_catches_draws_of_the_wrong_size() -> None:
    class Loud(GaussianPrior):
        def error(self, sigma: float, shape: Any, like: Any) -> Any:
            made = super().error(sigma, shape, like)
            drawn = made.draw
            made.draw = lambda noise, like: 1.3 * drawn(noise, like)  # type: ignore[method-assign]
            return made

    with pytest.raises(AssertionError, match="variance"):
        check_prior(Loud(torch.ones(1, 3, 3, dtype=torch.float64)), (1, 3, 3))


# --- sigma and timesteps ----------------------------------------------------------------------------------------------


@given(st.integers(0, 999))
def test_timesteps_are_exact_at_the_table_entries(entry: int) -> None:
    sigma = torch.tensor([math.exp(TABLE.log_sigmas[entry])], dtype=torch.float64)
    assert float(TABLE.timestep(sigma)) == pytest.approx(entry, abs=1e-9)
    assert TABLE.sigma(entry) == pytest.approx(float(sigma), rel=1e-12)


@given(st.floats(0.0, 999.0))
def test_timesteps_between_entries_are_continuous_and_invert(t: float) -> None:
    sigma = torch.tensor([TABLE.sigma(t)], dtype=torch.float64)
    found = TABLE.timestep(sigma)
    assert found.shape == (1,) and float(found) == pytest.approx(t, abs=1e-6)


def test_timesteps_stay_within_the_table() -> None:
    found = TABLE.timestep(torch.tensor([1e-6, 1e6], dtype=torch.float64))
    assert found.tolist() == [0.0, 999.0]


def test_the_published_noise_levels() -> None:
    expected = {100: 0.34, 200: 0.72, 300: 1.24, 400: 2.04, 500: 3.44, 700: 12.0, 999: 157}
    for entry, sigma in expected.items():
        assert TABLE.sigma(entry) == pytest.approx(sigma, rel=0.02)


def test_a_network_is_asked_for_a_continuous_timestep() -> None:
    prior = wrapped("epsilon")
    prior(torch.zeros(2, 1, SIDE, SIDE, dtype=torch.float64), torch.tensor([0.5, 2.0], dtype=torch.float64))
    times = prior.network.times[0]
    assert times.dtype == torch.float64 and not torch.equal(times, times.round())


# --- padding and spectra ----------------------------------------------------------------------------------------------


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 2, 4, 8]))
def test_padding_to_multiples_can_be_undone(height: int, width: int, multiple: int) -> None:
    x = torch.arange(float(height * width)).view(1, 1, height, width)
    padded, crop = pad_to_multiple(x, multiple)
    assert padded.shape[-2] % multiple == padded.shape[-1] % multiple == 0
    assert padded.shape[-2] < height + multiple and padded.shape[-1] < width + multiple
    assert torch.equal(padded[crop], x)


def test_a_spectrum_is_read_as_it_was_written() -> None:
    table = white_spectrum(0.01, 100.0)
    again = read_spectrum({"error_spectrum": json.loads(json.dumps(write_spectrum(table)))})
    assert again is not None
    assert np.allclose(again.power, table.power, rtol=1e-3) and np.allclose(again.sigmas[:-1], table.sigmas[:-1], rtol=1e-5)
    assert math.isinf(again.sigmas[-1]) and read_spectrum({}) is None


def test_a_spectrum_gives_back_the_field_it_was_measured_on() -> None:
    """Fields of a known correlation: measured spectrum -> covariance -> the same variance and correlation."""
    rng, side = np.random.default_rng(0), 64
    white = rng.standard_normal((400, side, side))
    smooth = np.fft.ifft2(
        np.fft.fft2(white) * np.exp(-((6 * np.fft.fftfreq(side)[:, None]) ** 2 + (6 * np.fft.fftfreq(side)) ** 2))
    ).real
    frequencies, power = radial_power(smooth)
    table = SpectrumTable(np.array([0.5, 1.0, np.inf]), frequencies, np.stack([power] * 3))
    assert table.error_rms(0.7) == pytest.approx(smooth.std(), rel=0.03)
    covariance = table.covariance(0.7, (1, 40, 48), torch.zeros(1, dtype=torch.float64))
    point = torch.zeros(1, 1, 40, 48, dtype=torch.float64)
    point[0, 0, 20, 24] = 1
    spread = covariance.apply(point)[0, 0, 20, 24:30].numpy()
    expected = [(smooth[:, :, : side - d] * smooth[:, :, d:]).mean() for d in range(6)]
    assert np.allclose(spread, expected, atol=0.05 * expected[0])
    assert covariance.mean_variance == pytest.approx(smooth.var(), rel=0.03)


@given(st.floats(0.001, 200.0))
def test_a_spectrum_is_positive_and_grows_with_sigma(sigma: float) -> None:
    table = white_spectrum(0.01, 100.0)
    assert 0 < table.at(sigma).min() <= table.at(sigma * 1.1).min() * (1 + 1e-12)
    assert table.error_rms(sigma) == pytest.approx(min(sigma, 100) / math.sqrt(1 + min(sigma, 100) ** 2), rel=0.05)


# --- real networks in folders -----------------------------------------------------------------------------------------


def save_folder(folder: Path, channels: int = 1, prediction: str = "epsilon", doubled: bool = False, edm: bool = False) -> Any:
    """A small random network in the diffusers layout."""
    from diffusers import DDPMScheduler, EDMEulerScheduler, UNet2DModel

    torch.manual_seed(3)
    network = UNet2DModel(
        sample_size=16,
        in_channels=channels,
        out_channels=channels * (2 if doubled else 1),
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        add_attention=False,
    ).eval()
    network.save_pretrained(folder / "unet", safe_serialization=True)
    scheduler = (
        EDMEulerScheduler(prediction_type=prediction, sigma_data=0.7, sigma_min=0.01, sigma_max=50.0)
        if edm
        else DDPMScheduler(prediction_type=prediction, variance_type="learned_range" if doubled else "fixed_small")
    )
    scheduler.save_pretrained(folder / "scheduler")
    return network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_folder(tmp_path / "prior")
    return tmp_path / "prior"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("prediction", "doubled", "edm"),
    [
        ("epsilon", False, False),
        ("v_prediction", False, False),
        ("sample", False, False),
        ("epsilon", True, False),
        ("epsilon", False, True),
        ("v_prediction", False, True),
    ],
)
def test_a_folder_of_any_parametrisation_loads(tmp_path: Path, channels: int, prediction: str, doubled: bool, edm: bool) -> None:
    network = save_folder(tmp_path / "prior", channels, prediction, doubled, edm)
    prior = load_prior(tmp_path / "prior")
    assert (prior.channels, prior.patch, prior.multiple) == (channels, (16, 16), 2)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, channels, 16, 16, generator=generator)
    if edm:
        sigma, s_data = torch.tensor([0.3, 4.0]), 0.7
        level = sigma.view(-1, 1, 1, 1)
        total = (level**2 + s_data**2).sqrt()
        with torch.no_grad():
            output = network(x / total, sigma.log() / 4).sample
        sign = -1 if prediction == "v_prediction" else 1
        expected = (s_data / total) ** 2 * x + sign * level * s_data / total * output
        assert (prior.sigma_min, prior.sigma_max) == pytest.approx((0.01, 50.0))
    else:
        entries = torch.tensor([150.0, 600.0])
        abar = torch.from_numpy(ABAR)[entries.long()].view(-1, 1, 1, 1).float()
        sigma = ((1 - abar) / abar).sqrt().flatten()
        with torch.no_grad():
            output = network(abar.sqrt() * x, entries).sample[:, :channels]
        xt = abar.sqrt() * x
        expected = {
            "epsilon": (xt - (1 - abar).sqrt() * output) / abar.sqrt(),
            "v_prediction": abar.sqrt() * xt - (1 - abar).sqrt() * output,
            "sample": output,
        }[prediction]
        assert prior.sigma_max == pytest.approx(157, rel=0.01)
    got = prior(x, sigma)
    assert torch.allclose(got, expected, rtol=1e-3, atol=2e-4 * float(expected.abs().max()))
    check_prior(prior, (channels, 15, 16), double=False, draws=500)


def test_low_precision_is_close_and_gives_back_the_input_type(folder: Path) -> None:
    exact, fast = load_prior(folder), load_prior(folder, "cpu", "bfloat16")
    x, sigma = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(1)), torch.tensor([0.5])
    assert fast(x, sigma).dtype == torch.float32
    difference = float((fast(x, sigma) - exact(x, sigma)).abs().max())
    assert 0 < difference < 0.05


def one_sentence(error: BaseException) -> str:
    """The message, which must be a single clear line."""
    text = str(error)
    assert "\n" not in text and 20 < len(text) < 400, text
    return text


@pytest.mark.parametrize("needed", [f"unet/{WEIGHTS}", "unet/config.json", "scheduler/scheduler_config.json"])
def test_a_missing_file_is_named(folder: Path, needed: str) -> None:
    (folder / needed).unlink()
    with pytest.raises(ValueError, match="is missing") as caught:
        load_prior(folder)
    assert needed in one_sentence(caught.value)


@pytest.mark.parametrize("suffix", PICKLES)
def test_a_pickle_is_refused_before_it_is_opened(folder: Path, suffix: str) -> None:
    (folder / "unet" / WEIGHTS).unlink()
    (folder / "unet" / f"diffusion_pytorch_model{suffix}").write_bytes(b"not even a pickle")
    with pytest.raises(ValueError, match="pickle") as caught:
        load_prior(folder)
    assert "safetensors" in one_sentence(caught.value)
    lone = folder / f"weights{suffix}"
    lone.write_bytes(b"not even a pickle")
    with pytest.raises(ValueError, match="pickle, which can run code"):
        find_prior(lone)


def test_an_unknown_name_is_answered_with_the_known() -> None:
    with pytest.raises(ValueError, match="there is no prior 'microscpy'") as caught:
        find_prior("microscpy")
    one_sentence(caught.value)


def test_broken_weights_are_refused(folder: Path) -> None:
    weights = folder / "unet" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cannot be loaded") as caught:
        load_prior(folder)
    one_sentence(caught.value)


def test_weights_that_are_not_complete_are_refused(folder: Path) -> None:
    """Else the missing part would be left at random values, with a warning at most."""
    from safetensors.torch import load_file, save_file

    weights = folder / "unet" / WEIGHTS
    tensors = load_file(weights)
    tensors.pop("conv_in.weight")
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="cannot be loaded") as caught:
        load_prior(folder)
    assert "conv_in.weight" in one_sentence(caught.value)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    config = folder / "unet" / "config.json"
    settings = json.loads(config.read_text())
    settings["in_channels"] = 2
    config.write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="cannot be loaded") as caught:
        load_prior(folder)
    one_sentence(caught.value)


def test_an_unknown_parametrisation_is_refused(folder: Path) -> None:
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "prediction_type": "flow_prediction"}))
    with pytest.raises(ValueError, match="flow_prediction") as caught:
        load_prior(folder)
    one_sentence(caught.value)


@pytest.mark.parametrize("name", ["prior.json", "unet/config.json", "scheduler/scheduler_config.json"])
def test_broken_json_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text("{")
    with pytest.raises(ValueError, match="JSON") as caught:
        load_prior(folder)
    assert Path(name).name in one_sentence(caught.value)
