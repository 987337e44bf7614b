from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
import types
import typing
from pathlib import Path
from typing import Any

import annotated_types
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.signal import fftconvolve

from napari_diffprior.device import choose_device
from napari_diffprior.intensity import Intensity
from napari_diffprior.job import make_job
from napari_diffprior.measurement import Measurement, conjugate_gradients
from napari_diffprior.noise.estimate import estimate_sigma
from napari_diffprior.noise.gaussian import Gaussian
from napari_diffprior.operators.identity import Identity
from napari_diffprior.operators.mask import Mask
from napari_diffprior.params import from_dict, to_dict, to_json
from napari_diffprior.plane import chunks
from napari_diffprior.priors.analytic import GaussianPrior
from napari_diffprior.psf import gaussian_psf, prepare_psf
from napari_diffprior.recipe import Recipe
from napari_diffprior.registry import find, nearest, registered
from napari_diffprior.restoration import Cancelled, make_recipe, restore, restore_iter
from napari_diffprior.rng import BatchNoise, KeyedNoise, stream_seed
from napari_diffprior.samplers.decoupled import Decoupled
from napari_diffprior.samples import bpae
from napari_diffprior.tiling import TiledDenoiser
from napari_diffprior.uncertainty import deviation

PARAMS = [*registered("sampler").values(), *registered("noise").values()]


def limits(metadata: tuple[Any, ...]) -> tuple[float, float]:
    """Lowest and highest allowed value of a field, from its declaration."""
    low, high = -1e6, 1e6
    for mark in metadata:
        if isinstance(mark, annotated_types.Ge | annotated_types.Gt):
            low = float(mark.ge if isinstance(mark, annotated_types.Ge) else mark.gt)  # type: ignore[arg-type]
        if isinstance(mark, annotated_types.Le | annotated_types.Lt):
            high = float(mark.le if isinstance(mark, annotated_types.Le) else mark.lt)  # type: ignore[arg-type]
    return low, high


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values that a field's declaration allows."""
    kind, *marks = typing.get_args(hint) if typing.get_origin(hint) is typing.Annotated else (hint,)
    low, high = limits(tuple(marks))
    if typing.get_origin(kind) is typing.Literal:
        return st.sampled_from(typing.get_args(kind))
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(int(low), int(high))
    if kind is float:
        return st.floats(low, high, exclude_min=True)
    if kind is str:
        return st.text(max_size=5)
    if kind is type(None):
        return st.none()
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return st.one_of(*(values(part) for part in typing.get_args(kind)))
    raise NotImplementedError(f"no strategy for {hint}: add one")


def instances(cls: type[Any]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return st.builds(cls, **{entry.name: values(hints[entry.name]) for entry in dataclasses.fields(cls)})


# --- Parameters and registry ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", PARAMS, ids=lambda cls: cls.name)
@given(data=st.data())
@settings(max_examples=40)
def test_parameters_survive_json(cls: type[Any], data: Any) -> None:
    value = data.draw(instances(cls))
    text = to_json(value)
    assert from_dict(cls, json.loads(text)) == value
    assert to_json(from_dict(cls, json.loads(text))) == text
    assert json.loads(text)["name"] == cls.name


@pytest.mark.parametrize("cls", PARAMS, ids=lambda cls: cls.name)
def test_parameters_are_frozen_and_keyword_only(cls: type[Any]) -> None:
    bare = [field for field in dataclasses.fields(cls) if field.default is field.default_factory is dataclasses.MISSING]
    required = {field.name: 0.1 for field in bare}
    value = cls(**required)
    name = dataclasses.fields(cls)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, 1)
    with pytest.raises((TypeError, ValidationError)):
        cls(1)


@pytest.mark.parametrize("cls", PARAMS, ids=lambda cls: cls.name)
def test_every_parameter_says_what_it_is(cls: type[Any]) -> None:
    from napari_diffprior.params import Ui

    hints = typing.get_type_hints(cls, include_extras=True)
    for entry in dataclasses.fields(cls):
        marks = [mark for mark in typing.get_args(hints[entry.name]) if isinstance(mark, Ui)]
        assert len(marks) == 1 and marks[0].label and marks[0].help, entry.name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stepz": 3}, "decoupled has no parameter 'stepz'; did you mean steps"),
        ({"steps": 0}, "decoupled: steps = 0 is not possible"),
        ({"steps": "many"}, "decoupled: steps = 'many' is not possible"),
        ({"start": -1.0}, "decoupled: start = -1.0 is not possible"),
    ],
)
def test_bad_parameters_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="decoupled") as caught:
        from_dict(Decoupled, settings)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_the_registry_knows_the_package() -> None:
    assert {"decoupled", "dps", "score_ald", "sdedit"} <= set(registered("sampler"))
    assert "gaussian" in registered("noise")
    assert list(registered("sampler")) == sorted(registered("sampler"))
    for name, cls in registered("sampler").items():
        assert cls.name == name and find("sampler", name) is cls and (cls.__doc__ or "").strip()


@pytest.mark.parametrize(("name", "answer"), [("decopled", "did you mean decoupled"), ("zzzz", "choose from [a-z_]+, [a-z_]+, ")])
def test_an_unknown_name_is_answered_with_the_nearest(name: str, answer: str) -> None:
    with pytest.raises(ValueError, match=f"there is no sampler '{name}'; {answer}"):
        find("sampler", name)
    assert nearest("x", []) == "choose from nothing"


# --- Noise streams ----------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**31), count=st.integers(1, 5), steps=st.integers(1, 3))
@settings(max_examples=30)
def test_a_batch_of_streams_equals_single_streams(seed: int, count: int, steps: int) -> None:
    like = torch.zeros(1)
    together, alone = KeyedNoise(seed, range(count)), [KeyedNoise(seed, [i]) for i in range(count)]
    for _ in range(steps):
        drawn = together.normal((1, 3, 2), like)
        assert torch.equal(drawn, torch.cat([one.normal((1, 3, 2), like) for one in alone]))


def test_streams_differ_by_seed_sample_and_position() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    keys = [(0, [0], ()), (1, [0], ()), (0, [2], ()), (0, [0], (0,)), (0, [0], (1,)), (0, [0], (0, 1))]
    drawn = [KeyedNoise(seed, samples, position).normal((50,), like) for seed, samples, position in keys]
    for i, first in enumerate(drawn):
        assert torch.equal(first, KeyedNoise(*keys[i]).normal((50,), like))
        assert all(abs(float(torch.corrcoef(torch.cat([first, other]))[0, 1])) < 0.6 for other in drawn[i + 1 :])
    assert stream_seed(1, 23) != stream_seed(12, 3)


def test_the_second_of_a_pair_sees_the_noise_with_its_sign_changed() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    drawn = KeyedNoise(4, range(6)).normal((50,), like)
    assert torch.equal(drawn[1::2], -drawn[::2])
    assert torch.equal(KeyedNoise(4, [3]).normal((50,), like)[0], drawn[3])


def test_the_mean_of_a_pair_is_that_of_many_samples_for_a_gaussian_posterior() -> None:
    measurement, prior = gaussian_case()
    *_, pair = Decoupled(steps=4, tolerance=1e-8, iterations=64).run(measurement, prior, KeyedNoise(0, range(2)))
    exact = measurement.condition(
        torch.zeros_like(pair.x0[:1]), prior.error(math.inf, measurement.shape, pair.x0), None, 1e-10, 99
    )
    assert torch.allclose(pair.x0.mean(0, keepdim=True), exact, rtol=0, atol=1e-3)
    assert float((pair.x0[0] - pair.x0[1]).abs().mean()) > 0.05


def gaussian_case() -> tuple[Measurement, GaussianPrior]:
    generator = torch.Generator().manual_seed(3)
    variance = 0.05 + torch.rand(1, 8, 9, generator=generator, dtype=torch.float64)
    operator = Mask(torch.rand(8, 9, generator=generator) < 0.6)
    y = operator.apply(variance.sqrt() * torch.randn(1, 1, 8, 9, generator=generator, dtype=torch.float64))
    return Measurement(y, operator, Gaussian(sigma=0.1), (1, 8, 9)), GaussianPrior(variance)


def test_seed_zero_is_a_seed() -> None:
    like = torch.zeros(1)
    torch.manual_seed(1)
    first = KeyedNoise(0, [0]).normal((10,), like)
    torch.manual_seed(2)
    assert torch.equal(first, KeyedNoise(0, [0]).normal((10,), like))
    assert torch.equal(BatchNoise(0, 3).normal((2,), like), BatchNoise(0, 3).normal((2,), like))


@pytest.mark.parametrize("make", [lambda: KeyedNoise(3, range(4000)), lambda: BatchNoise(3, 4000)])
def test_noise_is_standard_normal_and_of_the_given_type(make: Any) -> None:
    drawn = make().normal((1, 5, 5), torch.zeros(1, dtype=torch.float64))
    assert drawn.shape == (4000, 1, 5, 5) and drawn.dtype == torch.float64 and drawn.device.type == "cpu"
    assert abs(float(drawn.mean())) < 0.02 and float(drawn.var()) == pytest.approx(1, abs=0.03)
    assert float(drawn.pow(4).mean()) == pytest.approx(3, abs=0.2)


def test_noise_is_drawn_on_the_cpu_for_any_device() -> None:
    drawn = KeyedNoise(3, [0]).normal((4,), torch.zeros(1, device="meta"))
    assert drawn.device.type == "meta"  # moved there after it was drawn, for the generator is one of the CPU


# --- Intensity, noise model, noise estimate ---------------------------------------------------------------------------


@given(st.floats(-1e5, 1e5), st.floats(1e-3, 1e5))
def test_intensity_there_and_back(low: float, width: float) -> None:
    intensity = Intensity(low, low + width)
    image = np.linspace(low - width, low + 2 * width, 13)
    assert np.allclose(intensity.to_image(intensity.to_model(image)), image, rtol=0, atol=1e-9 * (abs(low) + width))
    assert intensity.to_model(intensity.low) == pytest.approx(-1)
    assert intensity.to_model(intensity.high) == pytest.approx(1, abs=1e-6 * (1 + abs(low) / width))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32, bool])
def test_intensity_of_any_type_of_image(kind: Any) -> None:
    image = np.array([[0, 1, 1], [0, 1, 0]], dtype=kind)
    intensity = Intensity.of(image)
    assert intensity.to_model(image.astype(float)).min() == pytest.approx(-1, abs=0.01)


def test_lines_were_brighter_than_their_blur() -> None:
    """Lines two pixels wide of height 10, blurred to a peak of 3.8: the range must hold most of what they were."""
    image = np.zeros((96, 96), np.float32)
    image[:, 20::24] = image[:, 21::24] = 10
    psf = gaussian_psf(2.0)
    measured = fftconvolve(image, psf, mode="valid")
    blurred, plain = (make_job(measured, None, kernel, Recipe(noise=0.1)).intensity for kernel in (psf, np.ones((1, 1))))
    assert plain.high == pytest.approx(3.8, abs=0.1)
    assert 1.5 * plain.high < blurred.high <= 10
    assert blurred.low == plain.low
    assert plain.high == pytest.approx(Intensity.of(measured).high)  # nothing was blurred, nothing changes


def test_a_constant_range_is_refused() -> None:
    with pytest.raises(ValueError, match="constant"):
        Intensity.of(np.full(5, 3.0))


def test_rare_outliers_do_not_set_the_range() -> None:
    image = np.append(np.random.default_rng(0).random(10_000), [1e6])
    assert Intensity.of(image).high < 2
    spike = np.zeros(10_000)
    spike[0] = 5.0  # less than a thousandth of the pixels, and yet all that there is
    assert (Intensity.of(spike).low, Intensity.of(spike).high) == (0.0, 5.0)


@given(st.floats(0.01, 10.0), st.integers(1, 4), st.integers(1, 30))
@settings(max_examples=30)
def test_gaussian_nll_per_sample_is_that_of_torch(sigma: float, count: int, size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    mean = torch.randn(count, 1, size, generator=generator, dtype=torch.float64)
    y = torch.randn(1, 1, size, generator=generator, dtype=torch.float64)
    exact = -torch.distributions.Normal(mean, sigma).log_prob(y).flatten(1).sum(1)
    found = Gaussian(sigma=sigma).nll(mean, y.expand_as(mean))
    assert found.shape == (count,) and torch.allclose(found, exact, rtol=1e-10)
    measurement = Measurement(y, Identity(), Gaussian(sigma=sigma), (1, 1, size))
    assert torch.allclose(measurement.nll(mean), exact, rtol=1e-10)
    assert Gaussian(sigma=sigma).precision(mean) == pytest.approx(sigma**-2)


def test_gaussian_samples_scatter_as_they_should_and_misfit_is_one() -> None:
    noise = Gaussian(sigma=0.3)
    drawn = noise.sample(torch.full((4000, 1, 5, 5), 2.0), BatchNoise(0, 4000))
    assert float(drawn.mean()) == pytest.approx(2, abs=0.01) and float(drawn.std()) == pytest.approx(0.3, rel=0.02)
    measurement = Measurement(drawn, Identity(), noise, (1, 5, 5))
    assert measurement.sigma == pytest.approx(0.3) and measurement.count == 25
    misfit = measurement.misfit(torch.full((4000, 1, 5, 5), 2.0))
    assert misfit.shape == (4000,) and float(misfit.mean()) == pytest.approx(1, abs=0.02)


def smooth(seed: int, side: int = 128) -> np.ndarray[Any, Any]:
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), 6, mode="wrap")
    return 100 + 40 * field / field.std()


@pytest.mark.parametrize("missing", [0.0, 0.7])
@pytest.mark.parametrize("sigma", [1.0, 3.0, 20.0])
def test_the_noise_is_estimated_within_ten_percent(sigma: float, missing: float) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed + 10)
        image = smooth(seed) + sigma * rng.standard_normal((128, 128))
        measured = rng.random(image.shape) >= missing
        assert estimate_sigma(np.where(measured, image, 1e9), measured) == pytest.approx(sigma, rel=0.1)


def test_neither_texture_nor_outliers_pass_for_noise() -> None:
    image, mask, reference = bpae()
    true = float((image - reference)[mask == 0].std())
    assert true < estimate_sigma(image, mask == 0) < 1.2 * true  # the picture itself has noise of 0.6 true
    flat = 100 + 5 * np.random.default_rng(0).standard_normal((256, 256))
    flat.flat[:: flat.size // 30] = 4000
    assert estimate_sigma(flat, np.ones(flat.shape, bool)) == pytest.approx(5, rel=0.03)


def test_a_noise_estimate_is_above_zero() -> None:
    image = np.zeros((20, 20))
    image[:, 10:] = 4.0
    assert estimate_sigma(image, np.ones(image.shape, bool)) == pytest.approx(4e-3)
    lonely = np.zeros((9, 9), bool)
    lonely[::3, ::3] = True  # no measured pixel has a measured neighbour
    assert estimate_sigma(np.arange(81.0).reshape(9, 9), lonely) > 0


def test_conjugate_gradients_let_a_finished_sample_stand() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(8, 8, generator=generator, dtype=torch.float64)
    matrix = root @ root.T + torch.eye(8, dtype=torch.float64)
    right = torch.randn(3, 8, generator=generator, dtype=torch.float64)
    right[1] = 0.0
    found = conjugate_gradients(lambda u: u @ matrix, right, lambda r: r / matrix.diagonal(), 1e-13, 100)
    assert torch.allclose(found, torch.linalg.solve(matrix, right.T).T, rtol=0, atol=1e-10)
    assert torch.equal(found[1], torch.zeros(8, dtype=torch.float64))
    start, eye = right.clone(), conjugate_gradients(lambda u: u, right, lambda r: r, 1e-6, 5)
    assert torch.allclose(eye, right) and torch.equal(right, start)


# --- PSF --------------------------------------------------------------------------------------------------------------


@given(st.floats(0.1, 8.0))
def test_a_gaussian_psf_sums_to_one_and_is_centred(sigma: float) -> None:
    psf = gaussian_psf(sigma)
    assert psf.sum() == pytest.approx(1) and np.allclose(psf, psf[::-1, ::-1]) and psf.shape[0] % 2 == 1
    if sigma > 1:
        at = np.arange(len(psf)) - len(psf) // 2
        assert math.sqrt(float((psf.sum(0) * at**2).sum())) == pytest.approx(sigma, rel=0.01)


@pytest.mark.parametrize(
    ("psf", "message"),
    [
        (np.ones(3), "2-D"),
        (np.ones((9, 9, 9)), "constant"),
        (np.array([[1.0, np.nan]]), "not finite"),
        (np.array([[1.0, -0.1]]), "negative"),
        (np.zeros((3, 3)), "zero everywhere"),
    ],
)
def test_a_bad_psf_is_refused(psf: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare_psf(psf)


# --- Recipe -----------------------------------------------------------------------------------------------------------


@given(instances(Decoupled), st.integers(0, 10**9), st.one_of(st.just("auto"), st.floats(0.01, 1e4)))
@settings(max_examples=25)
def test_a_recipe_survives_json(sampler: Any, seed: int, noise: Any) -> None:
    recipe = make_recipe(sampler, seed=seed, noise=noise)
    again = from_dict(Recipe, json.loads(to_json(recipe)))
    assert again == recipe and again.fingerprint() == recipe.fingerprint() and again.make_sampler() == sampler


def test_fingerprints_tell_recipes_apart() -> None:
    recipes = [
        Recipe(),
        Recipe(seed=1),
        Recipe(samples=2),
        Recipe(noise=1.0),
        Recipe(sampler="dps"),
        Recipe(options={"steps": 7}),
    ]
    assert len({recipe.fingerprint() for recipe in recipes}) == len(recipes)
    assert Recipe().fingerprint() == Recipe(seed=0).fingerprint() and len(Recipe().fingerprint()) == 16


def test_settings_find_their_way_to_the_sampler() -> None:
    recipe = make_recipe("score_ald", steps=9, mode="langevin", seed=4)
    sampler: Any = recipe.make_sampler()
    assert (sampler.steps, sampler.mode, recipe.seed, to_dict(sampler)["name"]) == (9, "langevin", 4, "score_ald")


# --- Restoration with an analytic prior: bad and unusual input --------------------------------------------------------


def scene(shape: tuple[int, int] = (12, 14)) -> np.ndarray[Any, Any]:
    return 100 + 20 * np.random.default_rng(1).standard_normal(shape)


def prior_for(shape: tuple[int, int]) -> GaussianPrior:
    return GaussianPrior(torch.full((1, *shape), 0.3))


def run(image: Any, mask: Any = None, psf: Any = None, **settings: Any) -> Any:
    given: dict[str, Any] = {"noise": 5.0, "steps": 3, "samples": 2, "device": "cpu", "prior": prior_for((12, 14))}
    return restore(image, mask, psf, **{**given, **settings})


def with_value(value: float) -> Any:
    image = scene()
    image[3, 4] = value
    return image


BAD = {
    "mask of another shape": (lambda: run(scene(), np.zeros((12, 13))), "mask has the shape"),
    "nothing to measure": (lambda: run(scene(), np.ones((12, 14))), "nothing is left to measure"),
    "nan": (lambda: run(with_value(np.nan)), "NaN"),
    "infinite": (lambda: run(with_value(-np.inf)), "infinite"),
    "constant": (lambda: run(np.full((12, 14), 7)), "constant"),
    "constant where measured": (lambda: run(np.where(scene() > 100, 5.0, 9.0), scene() > 100), "constant"),
    "empty stack": (lambda: run(np.zeros((2, 12, 14))), "constant"),
    "empty": (lambda: run(np.zeros((0, 4))), "nothing"),
    "too far from zero": (lambda: run(1e9 + scene()), "subtract the lowest"),
    "unknown sampler": (lambda: run(scene(), sampler="decopled"), "did you mean decoupled"),
    "unknown parameter": (lambda: run(scene(), stpes=3), "did you mean steps"),
    "impossible parameter": (lambda: run(scene(), steps=-1), "steps = -1 is not possible"),
    "unknown prior": (lambda: run(scene(), prior="no such prior"), "there is no prior"),
    "pickle": (lambda: run(scene(), prior="model.ckpt"), "pickle"),
    "negative noise": (lambda: run(scene(), noise=-1.0), "noise"),
    "zero noise": (lambda: run(scene(), noise=0.0), "noise"),
    "whole zero noise": (lambda: run(scene(), noise=0), "noise"),
    "noise is not a number": (lambda: run(scene(), noise=math.nan), "noise"),
    "noise in words": (lambda: run(scene(), noise="much"), "noise"),
    "no samples": (lambda: run(scene(), samples=0), "samples = 0 is not possible"),
    "negative seed": (lambda: run(scene(), seed=-1), "seed = -1 is not possible"),
    "two psfs": (lambda: run(scene(), psf=np.ones((3, 3)), psf_sigma=1.0), "not both"),
    "psf with three axes": (lambda: run(scene(), psf=gaussian_psf([1.0, 1.0, 1.0])), "have no z"),
    "psf sigma of zero": (lambda: run(scene(), psf_sigma=0.0), "psf_sigma"),
    "unknown device": (lambda: run(scene(), device="warp"), "device"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_sentence(case: str) -> None:
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and 15 < len(text) < 300, text
    assert not isinstance(caught.value, ValidationError)


def test_what_is_masked_may_be_anything() -> None:
    image, mask = with_value(np.nan), np.zeros((12, 14), int)
    mask[3, 4] = 9
    result = run(image, mask)
    assert np.isfinite(result.mean).all()
    other = image.copy()
    other[3, 4] = 1e30
    assert np.array_equal(run(other, mask).samples, result.samples)


def test_inputs_are_not_changed() -> None:
    image, mask = scene(), scene() > 110
    kept = image.copy(), mask.copy()
    run(image, mask)
    assert np.array_equal(image, kept[0]) and np.array_equal(mask, kept[1])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32, bool])
def test_any_type_of_number_is_an_image(kind: Any) -> None:
    image = (scene() > 100).astype(kind) if kind is bool else scene().clip(0, 250).astype(kind)
    result = run(image, noise=0.2 if kind is bool else 5.0)
    assert result.mean.dtype == np.float32 and result.mean.shape == image.shape


class Patchwise(GaussianPrior):
    """A prior that takes 16 x 16 patches and nothing else."""

    def __init__(self) -> None:
        super().__init__(torch.full((1, 16, 16), 0.3))
        self.patch = (16, 16)

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        assert x.shape[-2:] == (16, 16)
        return super().__call__(x, sigma)

    def error(self, sigma: float, shape: Any, like: torch.Tensor) -> Any:
        return GaussianPrior(torch.full(tuple(shape), 0.3)).error(sigma, shape, like)


@pytest.mark.parametrize("shape", [(1, 9), (5, 7), (16, 16), (15, 40), (33, 20)])
@pytest.mark.parametrize("sampler", sorted(registered("sampler")))
def test_an_image_of_any_size_works(shape: tuple[int, int], sampler: str) -> None:
    """Smaller than the patch by padding, larger by tiles."""
    image, mask = scene(shape), np.random.default_rng(0).random(shape) < 0.3
    result = run(image, mask, prior=TiledDenoiser(Patchwise()), sampler=sampler)
    assert result.samples.shape == (2, *shape) and np.isfinite(result.samples).all()


def test_a_blurred_image_comes_back_on_its_own_grid() -> None:
    result = run(scene((20, 17)), psf_sigma=1.2, prior=TiledDenoiser(Patchwise()), samples=3)
    assert result.mean.shape == result.std.shape == (20, 17) and (result.std > 0).all()
    masked = run(scene((20, 17)), scene((20, 17)) > 120, psf=np.ones((3, 5)), prior=TiledDenoiser(Patchwise()))
    assert masked.mean.shape == (20, 17)


def test_a_result_says_what_it_is() -> None:
    result = run(scene(), samples=5, batch=2, seed=3)
    assert result.samples.shape == (5, 12, 14) and len(result.misfit) == 5 and result.calls == 3
    assert np.allclose(result.mean, result.samples.mean(0)) and np.allclose(result.std, deviation(result.samples), atol=1e-5)
    stored = json.loads(json.dumps(result.provenance))
    assert from_dict(Recipe, stored["recipe"]) == result.recipe and stored["fingerprint"] == result.recipe.fingerprint()
    assert stored["noise_sigma"] == 5.0 and stored["device"] == "cpu" and stored["calls"] == 3
    single = run(scene(), samples=1)
    assert (single.std == 0).all()


def test_the_batch_does_not_change_the_samples() -> None:
    whole, parts = run(scene(), scene() > 110, samples=4, batch=4), run(scene(), scene() > 110, samples=4, batch=1)
    assert np.allclose(whole.samples, parts.samples, rtol=0, atol=1e-3)
    assert np.array_equal(run(scene(), seed=0).samples, run(scene(), seed=0).samples)
    assert not np.allclose(run(scene(), seed=0).samples, run(scene(), seed=1).samples, atol=1.0)


@given(st.integers(1, 100), st.one_of(st.none(), st.integers(1, 20)), st.integers(1, 10**7))
def test_every_sample_is_in_one_batch(samples: int, batch: int | None, pixels: int) -> None:
    parts = chunks(samples, batch, pixels)
    assert [index for part in parts for index in part] == list(range(samples))
    assert all(0 < len(part) <= (batch or 8) for part in parts)


def test_progress_is_counted_and_cancel_stops_within_a_step() -> None:
    updates = []
    run(scene(), samples=4, batch=2, progress=updates.append)
    assert [update.step for update in updates] == [1, 2, 3, 4, 5, 6] and {update.total for update in updates} == {6}
    assert updates[0].preview().shape == (12, 14) and np.isfinite(updates[-1].misfit)
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 2

    recipe = make_recipe(steps=50, noise=5.0, device="cpu")
    seen = 0
    with pytest.raises(Cancelled):
        for _ in restore_iter(scene(), recipe=recipe, prior=prior_for((12, 14)), cancelled=cancelled):
            seen += 1
    assert seen == 2


# --- Device and imports -----------------------------------------------------------------------------------------------


def test_the_device_comes_with_its_reason() -> None:
    chosen = choose_device("cpu", "float32")
    assert (chosen.name, chosen.precision) == ("cpu", "float32") and chosen.reason
    assert choose_device().reason and choose_device("cpu").precision in ("float32", "bfloat16")
    with pytest.raises(ValueError, match="choose auto or cpu"):
        choose_device("warp")


@pytest.mark.parametrize(
    "code", ["import napari_diffprior", "import napari_diffprior.testing", "from napari_diffprior import Recipe; Recipe()"]
)
def test_importing_is_light(code: str) -> None:
    heavy = f"{code}; import sys; print([m for m in ('torch', 'diffusers', 'napari', 'qtpy', 'skimage') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_keeps_the_data_range_in_one_place() -> None:
    """Only ``Intensity`` knows [-1, 1]: no 255 or 65535 in the core."""
    home = Path(sys.modules["napari_diffprior"].__file__ or "").parent
    files = [path for part in ("noise", "operators", "priors", "psf", "samplers") for path in (home / part).glob("*.py")]
    files += [home / f"{name}.py" for name in ("tiling", "restoration", "recipe")]
    assert len(files) > 15
    for path in files:
        text = path.read_text()
        assert "255" not in text and "65535" not in text and "/ 2 + 0.5" not in text, path.name
