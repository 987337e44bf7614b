"""The pieces that a step is made of, timed one by one: ``pytest benchmarks/test_hot_pieces.py``.

Needs pytest-benchmark (``pip install -e '.[bench]'``). Not part of the tests: figures belong to a quiet machine. To
compare two states of the code, ``--benchmark-save=before`` and later ``--benchmark-compare``.
"""

from __future__ import annotations

import pytest
import torch

from napari_diffprior.device import choose_device
from napari_diffprior.measurement import Measurement
from napari_diffprior.noise.gaussian import Gaussian
from napari_diffprior.operators.blur import Blur
from napari_diffprior.operators.mask import Mask
from napari_diffprior.priors.contract import denoise
from napari_diffprior.priors.store import load_prior
from napari_diffprior.rng import KeyedNoise
from napari_diffprior.tiling import TiledDenoiser

SIZE, TILE, BATCH = 256, 128, 2


@pytest.fixture(scope="module")
def prior():
    device = choose_device()
    return load_prior("microscopy", device.name, device.precision)


@pytest.fixture(scope="module")
def image():
    return torch.randn(BATCH, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


class Identity:
    """A denoiser that costs nothing: what is left is the tiling."""

    sigma_min, sigma_max, channels, ndim, patch = 0.01, 100.0, 1, 2, (TILE, TILE)

    def __call__(self, x, sigma):
        return x


def problem(operator, prior, image):
    y = operator.apply(image[:1])
    return Measurement(y, operator, Gaussian(sigma=0.02), (1, *getattr(operator, "domain", image.shape[-2:])))


def test_bare_network(benchmark, prior, image):
    tile = image[:1, :, :TILE, :TILE]
    at = torch.full((1,), 300.0)

    @torch.no_grad()
    def call():
        with torch.autocast("cpu", torch.bfloat16, enabled=prior.precision == "bfloat16"):
            return prior.network(tile, at).sample

    benchmark(call)


def test_denoiser_wrapper(benchmark, prior, image):
    benchmark(denoise, prior, image[:1, :, :TILE, :TILE], 0.5)


def test_denoiser_with_input_gradient(benchmark, prior, image):
    tile = image[:1, :, :TILE, :TILE]

    def call():
        x = tile.detach().requires_grad_()
        return torch.autograd.grad(prior(x, torch.full((1,), 0.5)).sum(), x)

    benchmark(call)


def test_tile_gather_and_blend(benchmark, image):
    benchmark(denoise, TiledDenoiser(Identity()), image, 0.5)


@pytest.mark.parametrize("piece", ["apply", "adjoint"])
def test_blur_by_fft(benchmark, image, piece):
    blur = Blur.gaussian(2.0, (SIZE, SIZE))
    canvas = torch.randn(BATCH, 1, *blur.domain, generator=torch.Generator().manual_seed(1))
    canvas = canvas.to(blur.kernel.dtype)
    given = canvas if piece == "apply" else blur.apply(canvas)
    benchmark(getattr(blur, piece), given)


def test_draw_of_the_error_covariance(benchmark, prior, image):
    error = prior.error(0.5, image.shape[1:], image)
    benchmark(lambda: error.draw(KeyedNoise(0, range(BATCH)), image))


@pytest.mark.parametrize("kind", ["blur", "mask"])
def test_data_step(benchmark, prior, image, kind):
    """One draw given the data: perturb, conjugate gradients, and back."""
    keep = torch.rand(SIZE, SIZE, generator=torch.Generator().manual_seed(0)) > 0.7
    psf = Blur.gaussian(2.0, (SIZE, SIZE)).kernel.float()
    operator = Mask(keep) if kind == "mask" else Blur(psf, (SIZE, SIZE))
    domain = getattr(operator, "domain", (SIZE, SIZE))
    mean = torch.zeros(BATCH, 1, *domain)
    full = torch.randn(1, 1, *domain, generator=torch.Generator().manual_seed(2))
    measurement = problem(operator, prior, full)
    error = prior.error(0.5, (1, *domain), mean)
    benchmark(lambda: measurement.condition(mean, error, KeyedNoise(0, range(BATCH)), 1e-2, 20))


def test_keyed_noise(benchmark, image):
    noise = KeyedNoise(0, range(BATCH))
    benchmark(noise.normal, image.shape[1:], image)
