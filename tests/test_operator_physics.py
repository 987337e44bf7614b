"""Physics of the operators, one by one; what all of them owe is in conformance/test_operators.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from napari_diffprior.measurement import Measurement
from napari_diffprior.noise.gaussian import Gaussian
from napari_diffprior.noise.gaussian_map import GaussianMap
from napari_diffprior.operators.blur import Blur
from napari_diffprior.operators.compose import Compose
from napari_diffprior.operators.contract import embed_measured, reach_of, width_of
from napari_diffprior.operators.downsample import Downsample
from napari_diffprior.operators.fourier import Fourier
from napari_diffprior.operators.function import Function
from napari_diffprior.operators.mask import Mask
from napari_diffprior.operators.motion import Motion, motion_psf
from napari_diffprior.operators.phase import PhaseRetrieval
from napari_diffprior.operators.radon import Radon
from napari_diffprior.operators.stack import Stack
from napari_diffprior.operators.varying import VaryingBlur
from napari_diffprior.priors.analytic import GaussianPrior
from napari_diffprior.priors.spectrum import SpectrumTable
from napari_diffprior.rng import KeyedNoise
from napari_diffprior.samplers.dps import DPS


def random_image(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((1, 1, *shape)))


def test_downsampling_averages_areas() -> None:
    x = random_image(6, 9)
    expected = x[0, 0].numpy().reshape(2, 3, 3, 3).mean((1, 3))
    assert np.allclose(Downsample(3, (2, 3)).apply(x)[0, 0], expected)
    assert torch.equal(Downsample(1, (6, 9)).apply(x), x)
    volume = random_image(4, 4, 4)
    assert Downsample(2, (2, 2, 2)).apply(volume).shape == (1, 1, 2, 2, 2)
    with pytest.raises(ValueError, match="whole factor of 1 or more"):
        Downsample(0, (2, 2))


def test_an_image_is_enlarged_where_a_method_starts_from_the_measurement() -> None:
    y = random_image(4, 5)
    image, measured = embed_measured(Downsample(2, (4, 5)), y, (1, 8, 10))
    assert measured is None
    assert torch.allclose(image, y.repeat_interleave(2, -1).repeat_interleave(2, -2))


@pytest.mark.parametrize("sigma", [2.0, (1.5, 3.0), (2.0, 2.0, 2.0)])
def test_the_width_of_a_gaussian_blur_is_its_standard_deviation(sigma: Any) -> None:
    sigmas = np.atleast_1d(sigma)
    shape = (20,) * max(2, len(sigmas))
    assert width_of(Blur.gaussian(sigma, shape)) == pytest.approx(np.prod(sigmas) ** (1 / len(sigmas)), rel=0.01)
    assert width_of(Blur.gaussian(0.3, (20, 20))) == width_of(Mask(torch.ones(20, 20) > 0)) == 1.0


def test_the_reach_of_a_composition_is_in_pixels_of_the_image() -> None:
    keep = torch.ones(20, 20, dtype=torch.bool)
    keep[5:14, 5:14] = False
    mask = Mask(keep)
    assert reach_of(Compose(mask, Downsample(2, (20, 20)))) == 2 * mask.reach
    assert reach_of(Compose(Compose(mask), Blur.gaussian(1.0, (20, 20)))) == mask.reach
    blur = Blur.gaussian(3.0, (20, 20))
    assert width_of(Compose(Downsample(2, (10, 10)), blur)) == blur.width
    assert width_of(Compose(blur, Downsample(2, (20, 20)))) == 2 * blur.width


class Bare:
    """An operator without its preconditioner."""

    def __init__(self, inner: Any) -> None:
        self.domain, self.apply, self.adjoint = inner.domain, inner.apply, inner.adjoint


def sampled(kind: str) -> Any:
    keep = torch.from_numpy(np.random.default_rng(0).random((24, 24)) < 0.8)
    coarse = Downsample(2, (24, 24))
    return {
        "downsample": lambda: coarse,
        "masked": lambda: Compose(Mask(keep), coarse),
        "blurred": lambda: Compose(coarse, Blur(Blur.gaussian(1.0, (48, 48)).kernel.double(), (48, 48))),
        "fourier": lambda: Fourier(torch.from_numpy(np.random.default_rng(1).random((48, 48)) < 0.5)),
        "radon": lambda: Radon(np.linspace(0, 170, 10).tolist(), (48, 48)),
    }[kind]()


@pytest.mark.parametrize("kind", ["downsample", "masked", "blurred", "fourier", "radon"])
def test_the_preconditioner_spares_iterations(kind: str) -> None:
    """A red spectrum over four decades: twenty iterations come at least twice as near as without."""
    frequencies = np.linspace(0, 0.75, 40)
    table = SpectrumTable(np.array([0.1, 1.0, np.inf]), frequencies, np.stack([1 / (1 + (30 * frequencies) ** 4)] * 3))
    operator, like = sampled(kind), torch.zeros(1, dtype=torch.float64)
    shape = (1, *operator.domain)
    error = table.covariance(0.5, shape, like)
    y = operator.apply(error.draw(KeyedNoise(0, [0]), like))
    y = y + 0.003 * KeyedNoise(1, [0]).normal(y.shape[1:], y)
    blank = torch.zeros(1, *shape, dtype=torch.float64)
    measurement, bare = (Measurement(y, one, Gaussian(sigma=0.003), shape) for one in (operator, Bare(operator)))
    exact = measurement.condition(blank, error, None, 1e-8, 500)
    quick, slow = (float((one.condition(blank, error, None, 1e-8, 20) - exact).norm()) for one in (measurement, bare))
    assert quick <= 0.5 * slow


def test_fourier_measures_frequencies_of_the_unitary_transform() -> None:
    x, keep = random_image(6, 5), np.zeros((6, 5), bool)
    keep[0, 0] = keep[2, 3] = True
    y = Fourier(torch.from_numpy(keep)).apply(x)
    spectrum = np.fft.fft2(x[0, 0].numpy(), norm="ortho")[keep]
    assert y.shape == (1, 2, 2) and np.allclose(y[0, 0], spectrum.real) and np.allclose(y[0, 1], spectrum.imag)
    whole = Fourier(torch.ones(6, 5, dtype=torch.bool))
    assert torch.allclose(whole.adjoint(whole.apply(x)), x)
    with pytest.raises(ValueError, match="no frequency was measured"):
        Fourier(torch.zeros(6, 5, dtype=torch.bool))


def test_projections_agree_with_scikit_image() -> None:
    from skimage.transform import radon

    rows, columns = np.mgrid[:41, :41] - 20.0
    scene = np.exp(-((rows - 4) ** 2 + (columns + 6) ** 2) / 18) + 0.5 * np.exp(-((rows + 7) ** 2 + columns**2) / 30)
    angles = [0.0, 30.0, 90.0, 135.0]
    ours = Radon(angles, (41, 41)).apply(torch.from_numpy(scene)[None, None])[0, 0].numpy()
    theirs = radon(scene, angles, circle=False).T
    theirs = (theirs + np.roll(theirs, -1, 1)) / 2  # its axis of rotation lies half a bin beside the middle
    offset = (theirs.shape[1] - ours.shape[1]) // 2
    assert np.allclose(ours, theirs[:, offset : offset + ours.shape[1]], atol=0.05 * theirs.max())
    assert np.allclose(ours.sum(1), scene.sum(), rtol=2e-3)  # every projection holds all of the image


@pytest.mark.parametrize(("length", "angle"), [(0.0, 10.0), (5.0, 0.0), (9.0, 37.0), (6.5, 90.0)])
def test_the_motion_psf_is_a_line_of_that_length_and_angle(length: float, angle: float) -> None:
    psf = motion_psf(length, angle)
    rows, columns = np.mgrid[: psf.shape[0], : psf.shape[1]] - psf.shape[0] // 2
    assert psf.sum() == pytest.approx(1) and abs((psf * rows).sum()) < 1e-9 and abs((psf * columns).sum()) < 1e-9
    along = columns * np.cos(np.radians(angle)) - rows * np.sin(np.radians(angle))
    # A line of length l has the variance l^2 / 12; bilinear weights add less than a quarter of a pixel squared.
    assert 0 <= (psf * along**2).sum() - length**2 / 12 < 0.26 + 0.05 * length
    assert Motion(length, angle, (20, 20)).apply(
        torch.ones(1, 1, *Motion(length, angle, (20, 20)).domain)
    ).mean() == pytest.approx(1)
    with pytest.raises(ValueError, match="0 pixels or more"):
        motion_psf(-1.0, 0.0)


def test_a_varying_blur_of_one_psf_is_a_blur_and_of_two_changes_over() -> None:
    one = torch.from_numpy(np.random.default_rng(0).random((3, 5)))
    x = random_image(*Blur(one, (16, 20)).domain)
    assert torch.allclose(VaryingBlur(one.expand(2, 3, 3, 5), (16, 20)).apply(x), Blur(one, (16, 20)).apply(x))
    sharp, wide = torch.zeros(3, 5, dtype=torch.float64), torch.ones(3, 5, dtype=torch.float64)
    sharp[1, 2] = 1
    varying = VaryingBlur(torch.stack([sharp, wide])[None], (16, 20))
    y, plain, blurred = varying.apply(x), varying.extract(x), Blur(wide, (16, 20)).apply(x)
    assert torch.allclose(y[..., :3], plain[..., :3]) and torch.allclose(y[..., -2:], blurred[..., -2:])


def test_phase_retrieval_does_not_see_shifts_or_mirrors() -> None:
    operator = PhaseRetrieval((8, 8), black=0.0)
    x = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    x[..., 1:4, 2:5] = random_image(3, 3).abs()
    y = operator.apply(x)
    assert torch.allclose(operator.apply(x.roll((2, 1), (-2, -1))), y) and torch.allclose(operator.apply(x.flip(-2, -1)), y)
    assert torch.allclose(y.square().sum(), x.square().sum())
    assert torch.allclose(PhaseRetrieval((8, 8), black=1.0).apply(x - 1), y)


@pytest.mark.parametrize(
    "operator", [Function(lambda x: x + 0.3 * x.square()), PhaseRetrieval((6, 6), black=2.0)], ids=["square", "phase"]
)
def test_a_nonlinear_operator_can_be_sampled(operator: Any) -> None:
    prior = GaussianPrior(torch.full((1, 6, 6), 0.05, dtype=torch.float64))
    truth = 0.2 * random_image(6, 6)
    measurement = Measurement(operator.apply(truth), operator, Gaussian(sigma=0.02), (1, 6, 6))
    *_, last = DPS(steps=100, guidance="norm", scale=0.3).run(measurement, prior, KeyedNoise(0, range(2)))
    blank = measurement.misfit(torch.zeros_like(truth))
    assert (last.misfit < 0.2 * blank).all()


def test_a_stack_joins_measurements_with_their_own_noise() -> None:
    keep = torch.zeros(4, 4, dtype=torch.bool)
    keep[::2] = True
    stack = Stack(Mask(keep), Mask(~keep))
    x = random_image(4, 4)
    assert stack.apply(x).shape == (1, 16) and stack.domain == (4, 4)
    noise = GaussianMap(torch.cat([torch.full((1, 8), 0.1), torch.full((1, 8), 10.0)], 1).double())
    prior = GaussianPrior(torch.ones(1, 4, 4, dtype=torch.float64))
    measurement = Measurement(stack.apply(x), stack, noise, (1, 4, 4))
    found = measurement.condition(0 * x, prior.error(1e6, (1, 4, 4), x), None, 1e-10, 100)
    assert torch.allclose(found[0, 0][keep], x[0, 0][keep] / 1.01, atol=1e-6)
    assert torch.allclose(found[0, 0][~keep], x[0, 0][~keep] / 101, atol=1e-6)
    with pytest.raises(ValueError, match="images of one shape"):
        Stack(Blur.gaussian(1.0, (8, 8)), Blur.gaussian(2.0, (8, 8)))
