from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_diffprior.measurement import Measurement
from napari_diffprior.noise.censored import Censored
from napari_diffprior.noise.gaussian import Gaussian
from napari_diffprior.noise.poisson_gaussian import PoissonGaussian
from napari_diffprior.operators.blur import Blur
from napari_diffprior.operators.contract import domain_of
from napari_diffprior.operators.mask import Mask
from napari_diffprior.priors.analytic import GaussianPrior, StationaryPrior
from napari_diffprior.priors.spectrum import SpectrumTable
from napari_diffprior.psf import gaussian_psf
from napari_diffprior.restoration import restore
from napari_diffprior.richardson_lucy import richardson_lucy, sharpened
from napari_diffprior.rng import BatchNoise, KeyedNoise
from napari_diffprior.samplers.decoupled import DOUBT, Decoupled
from napari_diffprior.samplers.dps import DPS
from napari_diffprior.testing import check_operator, check_prior
from napari_diffprior.volume import Coupled, MeasuredVolume, VolumeDenoiser

SHAPE = (1, 3, 4, 5)  # (C, D, H, W)
LAMBDA = 3.0


def independent() -> GaussianPrior:
    generator = torch.Generator().manual_seed(0)
    return GaussianPrior(0.05 + torch.rand(1, 4, 5, generator=generator, dtype=torch.float64))


def stationary() -> StationaryPrior:
    radius = np.hypot(np.fft.fftfreq(4)[:, None], np.fft.rfftfreq(5)[None])
    return StationaryPrior(torch.from_numpy(0.4 / (1 + (4 * radius) ** 2)), (4, 5))


def dense(apply: Any, shape: tuple[int, ...] = SHAPE) -> Tensor:
    """Matrix of a linear map on volumes."""
    size = math.prod(shape)
    return apply(torch.eye(size, dtype=torch.float64).view(size, *shape)).flatten(1).T


def springs(stiffness: float) -> Tensor:
    """lambda Dz^T Dz of the volume, by differences of neighbouring planes."""
    d = dense(lambda x: x.diff(dim=2))
    return stiffness * d.T @ d


def planes(covariance: Any) -> Tensor:
    """Block-diagonal covariance of independent planes."""
    one = dense(covariance.apply, (1, 4, 5))
    return torch.block_diag(one, one, one)


@pytest.mark.parametrize("prior", [independent(), stationary()], ids=["independent", "stationary"])
@pytest.mark.parametrize("sigma", [0.2, 1.0, math.inf])
def test_error_covariance_is_the_inverse_of_planes_and_springs(prior: Any, sigma: float) -> None:
    r = planes(prior.error(sigma, (1, 4, 5), torch.zeros(1, dtype=torch.float64)))
    exact = torch.linalg.inv(torch.linalg.inv(r) + springs(LAMBDA))
    error = VolumeDenoiser(prior, 5.0, LAMBDA).error(sigma, SHAPE, torch.zeros(1, *SHAPE, dtype=torch.float64))
    assert torch.allclose(dense(error.apply), exact, rtol=0, atol=1e-12)
    assert error.mean_variance == pytest.approx(float(exact.diagonal().mean()))
    drawn = error.draw(BatchNoise(0, 20_000), torch.zeros(1, dtype=torch.float64)).flatten(1)
    assert torch.allclose(drawn.T @ drawn / len(drawn), exact, rtol=0, atol=0.04 * float(exact.diagonal().max()))


@pytest.mark.parametrize("prior", [independent(), stationary()], ids=["independent", "stationary"])
def test_denoiser_is_the_exact_posterior_mean_of_the_coupled_prior(prior: Any) -> None:
    data = prior.error(math.inf, (1, 4, 5), torch.zeros(1))
    precision = torch.linalg.inv(planes(data)) + springs(LAMBDA)
    x = torch.randn(2, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for sigma in (0.1, 0.7):
        level = x.new_full((2,), sigma)
        exact = torch.linalg.solve(
            precision + torch.eye(len(precision), dtype=torch.float64) / sigma**2, x.flatten(1).T / sigma**2
        ).T
        assert torch.allclose(VolumeDenoiser(prior, 5.0, LAMBDA)(x, level).flatten(1), exact, rtol=0, atol=1e-12)
    mixed = VolumeDenoiser(prior, 5.0, LAMBDA)(x, x.new_tensor([0.1, 0.7]))
    assert torch.allclose(mixed[1].flatten(), exact[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("turns", [False, True])
def test_the_volume_denoiser_is_a_prior(turns: bool) -> None:
    prior = GaussianPrior(torch.full((1, 4, 4), 0.5, dtype=torch.float64))
    check_prior(VolumeDenoiser(prior, 1.0, 0.8, batch=3, turns=turns), (1, 4, 4, 4), draws=500)  # type: ignore[arg-type]


def posterior(prior: Any, measurement: Measurement) -> tuple[Tensor, Tensor]:
    """Mean and covariance given y under planes and springs."""
    data = planes(prior.error(math.inf, (1, 4, 5), torch.zeros(1)))
    a = dense(measurement.operator.apply)
    precision = torch.linalg.inv(data) + springs(LAMBDA) + a.T @ a / measurement.noise.sigma**2  # type: ignore[attr-defined]
    pulled = a.T @ measurement.y.flatten() / measurement.noise.sigma**2  # type: ignore[attr-defined]
    covariance = torch.linalg.inv(precision)
    return covariance @ pulled, covariance


@pytest.mark.parametrize("prior", [independent(), stationary()], ids=["independent", "stationary"])
@pytest.mark.parametrize("steps", [3, 6])
def test_decoupled_draws_from_the_exact_posterior_of_a_blurred_volume(prior: Any, steps: int) -> None:
    rng = np.random.default_rng(4)
    blur = Blur(torch.from_numpy(rng.random((3, 2, 3)) + 0.1), (1, 2, 3))
    assert blur.domain == SHAPE[1:]
    y = torch.from_numpy(rng.standard_normal((1, 1, 1, 2, 3)))
    measurement = Measurement(y, blur, Gaussian(sigma=0.2), SHAPE)
    mean, covariance = posterior(prior, measurement)
    draws = 2500
    sampler = Decoupled(steps=steps, last=1e-3, tolerance=1e-8, iterations=50)
    *_, state = sampler.run(measurement, VolumeDenoiser(prior, 5.0, LAMBDA), BatchNoise(2, draws))
    centred = state.x0.flatten(1) - mean
    spread = covariance.diagonal()
    assert ((centred.mean(0) / (spread / draws).sqrt()).abs() <= 4.5).all()
    assert ((centred.square().mean(0) / spread - 1).abs() <= 6 * (2 / draws) ** 0.5).all()


class Smoothing:
    """A 2-D prior with a measured spectrum that takes planes of any size."""

    sigma_min, sigma_max, channels, ndim, patch = 0.01, 10.0, 1, 2, None

    def __init__(self) -> None:
        frequencies = np.linspace(0, 0.75, 20)
        power = 0.5 / (1 + (8 * frequencies) ** 2)
        self.table = SpectrumTable(np.array([0.1, 1.0, np.inf]), frequencies, np.stack([0.1 * power, power, 2 * power]))
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.seen.append(tuple(x.shape))
        return x / (1 + sigma.square().view(-1, 1, 1, 1))

    def error(self, sigma: float, shape: Any, like: Tensor) -> Any:
        return self.table.covariance(sigma, shape, like)


def test_the_preconditioner_is_close_to_the_inverse() -> None:
    blur = Blur(torch.from_numpy(np.random.default_rng(0).random((3, 3, 3))), (4, 6, 7))
    canvas = (1, *blur.domain)
    error = VolumeDenoiser(Smoothing(), 4.0, LAMBDA).error(0.5, canvas, torch.zeros(1, dtype=torch.float64))
    a = dense(blur.apply, canvas)
    system = a @ dense(error.apply, canvas) @ a.T + 1e-3 * torch.eye(len(a))
    inverse = dense(lambda u: error.solve(u, blur, 1e-3), (1, 4, 6, 7))
    assert torch.allclose(inverse, inverse.T, rtol=0, atol=1e-8)
    assert torch.linalg.eigvalsh(inverse).min() > 0
    with_it = torch.linalg.eigvals(inverse @ system).real
    assert with_it.max() / with_it.min() < 0.2 * torch.linalg.cond(system)


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_slices_in_each_direction_have_a_consistent_preconditioner(axis: int) -> None:
    shape = (1, 4, 5, 6)
    plane = [n for i, n in enumerate(shape) if i != axis - 1]
    planes_error = Smoothing().error(0.5, plane, torch.zeros(1, dtype=torch.float64))
    error = Coupled(planes_error, 2.0, shape[axis - 1], axis)
    check = dense(error.apply, shape)
    assert torch.allclose(check, check.T, rtol=0, atol=1e-12)
    keep = Mask3D(torch.ones(4, 5, 6, dtype=torch.bool))
    inverse = dense(lambda u: error.solve(u, keep, 0.5), shape)
    assert torch.allclose(inverse, inverse.T, rtol=0, atol=1e-12)
    assert torch.linalg.eigvals(inverse @ (check + 0.5 * torch.eye(len(check)))).real.sub(1).abs().max() < 0.6


class Mask3D:
    """All voxels measured."""

    def __init__(self, keep: Tensor) -> None:
        self.domain = tuple(keep.shape)

    def apply(self, x: Tensor) -> Tensor:
        return x

    adjoint = extract = embed = apply

    def response(self, shape: Any) -> float:
        return 1.0


def test_isotropic_stacks_are_sliced_in_three_directions() -> None:
    volume = VolumeDenoiser(Smoothing(), 1.2)
    levels = np.geomspace(2, 0.01, 30)
    assert [sum(volume.axis(level) == axis for level in levels) >= 6 for axis in (2, 3, 4)] == [True] * 3
    assert {VolumeDenoiser(Smoothing(), 3.0).axis(level) for level in levels} == {2}
    x = torch.zeros(2, 1, 3, 4, 5)
    for level in levels:
        volume(x, x.new_full((2,), level))
    assert set(volume.inner.seen) == {(6, 1, 4, 5), (8, 1, 3, 5), (10, 1, 3, 4)}  # type: ignore[attr-defined]


def test_a_batch_equals_single_volumes() -> None:
    volume = VolumeDenoiser(Smoothing(), 1.0, batch=4)
    blur = Blur.gaussian([1.0, 0.8, 0.8], (3, 6, 7))
    like = torch.zeros(1, dtype=torch.float64)
    image = volume.error(math.inf, (1, *blur.domain), like).draw(BatchNoise(0, 1), like)
    measurement = Measurement(blur.apply(image), blur, Gaussian(sigma=0.1), (1, *blur.domain))
    *_, together = Decoupled(steps=4).run(measurement, volume, KeyedNoise(0, range(3)))
    for sample in range(3):
        *_, alone = Decoupled(steps=4).run(measurement, volume, KeyedNoise(0, [sample]))
        assert torch.allclose(together.x0[sample], alone.x0[0], rtol=0, atol=1e-9)


def test_a_step_between_planes_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="step between planes"):
        VolumeDenoiser(Smoothing(), 0.0)
    check_operator(Blur.gaussian([1.0, 0.8, 0.8], (3, 6, 7)), (3, 6, 7), np.random.default_rng(0))


def stack() -> Any:
    z, y, x = np.indices((5, 12, 14))
    return 100 + 50 * np.sin(x / 2) * np.cos(y / 3) + 5 * z + np.random.default_rng(0).standard_normal(z.shape)


def test_a_3d_psf_restores_the_stack_whole_and_says_what_it_did() -> None:
    psf = np.zeros((4, 5, 5))
    psf[1:4] = gaussian_psf([0.5, 1.0, 1.0])[1:4, 2:7, 2:7]
    settings: dict[str, Any] = {"psf": psf, "steps": 3, "samples": 2, "noise": 2.0, "device": "cpu", "prior": Smoothing()}
    result = restore(stack(), **settings, anisotropy=3.0)
    assert result.mean.shape == result.std.shape == (5, 12, 14) and (result.std > 0).all()
    assert "even size" in " ".join(result.provenance["psf"])
    turned = restore(stack().transpose(1, 0, 2), **settings, anisotropy=3.0, axes="yzx")
    assert np.array_equal(turned.mean, result.mean.transpose(1, 0, 2))
    many = restore(np.stack([stack(), stack() + 7]), **settings, axes="tzyx")
    assert many.mean.shape == (2, 5, 12, 14)
    masked = restore(stack(), np.random.default_rng(1).random((5, 12, 14)) < 0.2, **settings)
    assert masked.mean.shape == (5, 12, 14)
    camera = restore(stack(), **{**settings, "noise": "poisson-gaussian"}, gain=1.0, offset=0.0, read_noise=1.0)
    assert np.isfinite(camera.mean).all()


@pytest.mark.parametrize("axes", ["zyx", "xzy"])
def test_a_mask_of_one_plane_counts_for_the_whole_stack(axes: str) -> None:
    rng = np.random.default_rng(0)
    order = ["zyx".index(letter) for letter in axes]
    image, plane = 100 + 10 * rng.standard_normal((3, 12, 14)), rng.random((12, 14)) < 0.3
    whole = np.transpose(np.broadcast_to(plane, image.shape), order)
    settings: dict[str, Any] = {"psf": gaussian_psf([0.5, 0.8, 0.8]), "noise": 5.0, "samples": 1, "steps": 2, "device": "cpu"}
    by_plane, by_stack = (
        restore(np.transpose(image, order), mask, axes=axes, **settings) for mask in (plane.T if axes == "xzy" else plane, whole)
    )
    np.testing.assert_array_equal(by_plane.mean, by_stack.mean)


def test_a_3d_psf_needs_a_stack() -> None:
    with pytest.raises(ValueError, match="have no z"):
        restore(stack()[0], psf=gaussian_psf([1.0, 1.0, 1.0]), prior=Smoothing(), steps=2, device="cpu")


@pytest.mark.parametrize("axis", [2, 3, 4])
@pytest.mark.parametrize("blurred", [False, True])
def test_a_volume_with_larger_errors_than_the_held_out_ones_says_so(axis: int, blurred: bool) -> None:
    shape, noise = (1, 12, 24, 28), BatchNoise(0, 40)
    operator: Any = Blur.gaussian((0.5, 0.7, 0.7), shape[1:]) if blurred else Mask(torch.ones(shape[1:]) > 0)
    canvas = (1, *domain_of(operator, shape[1:]))
    plane = [n for i, n in enumerate(canvas) if i != axis - 1]
    zero = torch.zeros(40, *canvas, dtype=torch.float64)
    error = MeasuredVolume(Smoothing().error(0.5, plane, zero), canvas[axis - 1], axis)
    y = operator.apply(zero[:1]) + 0.02 * BatchNoise(1, 1).normal(operator.apply(zero[:1]).shape[1:], zero)
    measurement = Measurement(y, operator, Gaussian(sigma=0.02), canvas)
    off = torch.tensor([1.0, 2.0], dtype=torch.float64).repeat(20).view(-1, 1, 1, 1, 1) * error.draw(noise, zero)
    own: Any = measurement.own_error(off, error)
    factors = own.power.flatten(1).sum(1) / error.power.sum()
    assert factors[0::2].mean() == pytest.approx(1.0, abs=0.25)
    assert factors[1::2].mean() == pytest.approx(4.0, rel=0.2)
    alone: Any = measurement.own_error(off[1:2], error)
    probe = error.draw(BatchNoise(2, 1), zero[:1])
    assert torch.allclose(own.apply(probe.expand_as(zero))[1:2], alone.apply(probe), rtol=1e-9)


def volume_error(axis: int, shape: tuple[int, ...]) -> MeasuredVolume:
    plane = [n for i, n in enumerate(shape) if i != axis - 1]
    return MeasuredVolume(Smoothing().error(0.5, plane, torch.zeros(1, dtype=torch.float64)), shape[axis - 1], axis)


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_measured_planes_are_independent_and_each_has_the_error_of_a_plane(axis: int) -> None:
    error = volume_error(axis, (1, 4, 5, 6))
    x = torch.randn(2, 1, 4, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    cut = x.movedim(axis, 1)
    apart = error.planes.apply(cut.flatten(0, 1)).view(cut.shape).movedim(1, axis)
    assert torch.allclose(error.apply(x), apart, rtol=0, atol=1e-12)
    assert error.mean_variance == pytest.approx(error.planes.mean_variance)
    flat, everywhere = error.seen(Blur(torch.ones(1, 1, 1, dtype=torch.float64), (4, 5, 6)))
    assert torch.allclose(flat, error.planes.power, rtol=0, atol=1e-12) and torch.allclose(everywhere, torch.ones_like(flat))


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_a_data_step_of_a_volume_in_modes_is_exact(axis: int) -> None:
    blur = Blur(torch.from_numpy(np.random.default_rng(3).random((3, 3, 3))), (3, 4, 5))
    canvas = (1, *blur.domain)
    error = volume_error(axis, canvas)
    y = torch.randn(1, 1, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    measurement = Measurement(y, blur, Gaussian(sigma=0.1), canvas)
    r, a = dense(error.apply, canvas), dense(blur.apply, canvas)
    exact = r @ a.T @ torch.linalg.solve(a @ r @ a.T + 0.01 * torch.eye(len(a)), y.flatten())
    assert error.whitened(blur) is not None
    found = measurement.condition(torch.zeros(1, *canvas, dtype=torch.float64), error, None, 1e-9, 400)
    assert torch.allclose(found.flatten(), exact, rtol=0, atol=1e-7)


def test_an_error_is_larger_than_typical_only_where_the_data_see_it() -> None:
    shape = (1, 8, 9, 10)
    error, deep = volume_error(2, shape), torch.zeros(7, 1, 1, dtype=torch.float64) + 1
    hidden = Blur(deep, (2, 9, 10))  # a mean over seven planes: zeros along z
    larger = error.scaled(torch.tensor([9.0], dtype=torch.float64))
    seen = larger.in_sight(error, hidden, 1e-9).power / error.power
    passed = abs(hidden.transfer(error.grid)) ** 2
    assert (seen[passed.expand_as(seen) > 1e-3] > 8.9).all()
    assert torch.allclose(larger.in_sight(error, hidden, 1e9).power, error.power, rtol=1e-6)


def balls(offset: float, low_light: bool = False) -> tuple[Any, Any, Measurement]:
    """Three balls, the stack that a PSF longer in z makes of them, and its measurement; grey levels over 200."""
    z, y, x = np.indices((18, 34, 34))
    truth = np.full(z.shape, offset)
    for at in ((7, 10, 10), (10, 12, 23), (9, 24, 17)):
        truth[(2 * (z - at[0])) ** 2 + (y - at[1]) ** 2 + (x - at[2]) ** 2 < 30] = offset + 1
    psf = gaussian_psf([1.5, 1.0, 1.0])
    blur = Blur(torch.from_numpy(psf), tuple(n - 2 * (side // 2) for n, side in zip(truth.shape, psf.shape, strict=True)))
    pad = [(0, larger - n) for larger, n in zip(blur.domain, truth.shape, strict=True)]
    canvas = torch.from_numpy(np.pad(truth, pad, mode="edge"))[None, None]
    noise: Any = PoissonGaussian(gain=0.02, offset=offset, read_noise=0.02) if low_light else Gaussian(sigma=0.01)
    measured = noise.sample(blur.apply(canvas), BatchNoise(0, 1))
    return canvas, blur, Measurement(measured, blur, noise, (1, *blur.domain))


@pytest.mark.parametrize("low_light", [False, True])
def test_sharpening_ends_where_the_noise_begins(low_light: bool) -> None:
    canvas, blur, measurement = balls(-1.0 if not low_light else -0.9, low_light)
    image = sharpened(measurement)
    truth = blur.extract(canvas)
    goal = 1 - (2 / measurement.count) ** 0.5
    assert goal - 0.05 < float(measurement.misfit(image)) <= goal
    assert ((blur.extract(image) - truth).square().mean() < 0.75 * (measurement.y - truth).square().mean()).item()
    assert float(image.min()) >= (-0.9 if low_light else -1.0) - 1e-6


def test_light_of_an_unknown_plane_came_rather_from_within_the_stack() -> None:
    blur = Blur(torch.full((7, 1, 1), 1 / 7, dtype=torch.float64), (5, 4, 4))  # sums of 7 planes
    even = torch.ones(1, 1, 5, 4, 4, dtype=torch.float64)
    image = next(islice(richardson_lucy(even, blur, (1, *blur.domain)), 500, None))
    assert torch.allclose(blur.apply(image), even, rtol=0, atol=1e-3)
    inside = blur.extract(image).mean()
    outside = (image[0, 0, :11, 0, 0].sum() - 5 * inside) / 6
    assert float(outside / inside) < 0.7


def test_the_dark_of_a_saturated_camera_is_its_offset() -> None:
    _, _, measurement = balls(-0.9, low_light=True)
    bright = torch.full_like(measurement.y, math.inf)
    bright[0, 0, 5, 5, 5] = measurement.y.max()
    saturated = replace(measurement, noise=Censored(measurement.noise, bright))
    assert float(sharpened(saturated).min()) >= -0.9 - 1e-6


@pytest.mark.parametrize("guidance", ["calibrated", "norm", "unit_gradient"])
def test_dps_of_volumes_in_a_batch_equals_singles(guidance: Any) -> None:
    _, _, measurement = balls(0.0)
    volume, sampler = VolumeDenoiser(Smoothing(), 1.0), DPS(steps=3, guidance=guidance)
    *_, both = sampler.run(measurement, volume, KeyedNoise(0, [0, 1]))
    *_, second = sampler.run(measurement, volume, KeyedNoise(0, [1]))
    assert torch.allclose(both.x0[1], second.x0[0], rtol=1e-6, atol=1e-6)


def test_decoupled_begins_from_an_estimate() -> None:
    _, _, measurement = balls(-1.0)
    begun = torch.full((1, *measurement.shape), 0.3, dtype=torch.float64)
    volume = VolumeDenoiser(Smoothing(), 1.0)
    first = next(iter(Decoupled(steps=5).run(replace(measurement, estimate=begun), volume, KeyedNoise(0, [0]))))
    assert (first.total, first.sigma) == (5, DOUBT)
    seen: Any = volume.inner
    last = next(iter(Decoupled(steps=5, start=0.02).run(replace(measurement, estimate=begun), Kept(seen), KeyedNoise(0, [0]))))
    assert last.sigma == 0.02


class Kept(VolumeDenoiser):
    """A denoiser that asserts what it is begun with."""

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        assert float(x.mean()) == pytest.approx(0.3, abs=0.01) and float(x.std()) == pytest.approx(float(sigma), rel=0.05)
        return super().__call__(x, sigma)


@pytest.mark.parametrize("aspect", [1.0, 4.0])
def test_a_stack_is_restored_better_than_it_is_sharpened(aspect: float) -> None:
    canvas, blur, measurement = balls(0.0, low_light=True)
    stack = 200 * measurement.y[0, 0].numpy()
    settings: dict[str, Any] = {"noise": "poisson-gaussian", "gain": 4.0, "offset": 0.0, "read_noise": 4.0, "device": "cpu"}
    result = restore(stack, psf=gaussian_psf([1.5, 1.0, 1.0]), samples=2, steps=6, anisotropy=aspect, **settings)
    truth = blur.extract(canvas)[0, 0].numpy()
    sharp = blur.extract(sharpened(measurement))[0, 0].numpy()
    assert np.square(result.mean / 200 - truth).mean() < np.square(sharp - truth).mean()
    assert np.mean(result.misfit) == pytest.approx(1.0, abs=0.25)


def test_sharpening_can_be_cancelled() -> None:
    polled: list[int] = []

    def poll() -> None:
        polled.append(1)
        if len(polled) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sharpened(balls(-1.0)[2], poll)
