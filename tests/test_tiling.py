from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from napari_diffprior.priors.analytic import GaussianPrior
from napari_diffprior.samplers.schedules import karras
from napari_diffprior.testing import check_prior
from napari_diffprior.tiling import TiledDenoiser, hann, starts

N, TILE, LENGTH = 256, 64, 16.0


@dataclass
class Patchwise:
    """A denoiser of patches of one shape, given as a function of (patches, sigma)."""

    function: Any
    patch: tuple[int, int] | None = (8, 8)
    sigma_min: float = 0.01
    sigma_max: float = 100.0
    channels: int = 1
    ndim: int = 2

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        assert self.patch is None or x.shape[-2:] == self.patch
        return self.function(x, sigma)

    def error(self, sigma: float, shape: Any, like: Tensor) -> Any:
        return GaussianPrior(torch.ones(tuple(shape)).to(like)).error(sigma, shape, like)


def curved(x: Tensor, sigma: Tensor) -> Tensor:
    """Not linear, depends on the whole patch and on the place in it."""
    place = torch.linspace(0.5, 1.5, x[0].numel(), dtype=x.dtype).view(x.shape[1:])
    return torch.tanh(place * x) + sigma.view(-1, 1, 1, 1) * x.mean((1, 2, 3), keepdim=True).square()


def plain_blend(inner: Any, x: Tensor, sigma: Tensor, tile: tuple[int, int], overlap: float) -> Tensor:
    """The same formula by autograd: sum of windowed tiles over the sum of windows."""
    total, weights = torch.zeros_like(x), torch.zeros_like(x)
    window = hann(tile, x)
    for top in starts(x.shape[-2], tile[0], overlap):
        for left in starts(x.shape[-1], tile[1], overlap):
            rows, columns = slice(top, top + tile[0]), slice(left, left + tile[1])
            into = torch.nn.functional.pad(
                window * inner(x[..., rows, columns], sigma),
                (left, x.shape[-1] - left - tile[1], top, x.shape[-2] - top - tile[0]),
            )
            total = total + into
            weights[..., rows, columns] += window
    return total / weights


# --- Cover ------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 300), st.integers(1, 80), st.sampled_from([0.0, 0.25, 0.5, 0.75]))
def test_tiles_cover_the_length_with_the_overlap(length: int, tile: int, overlap: float) -> None:
    first = starts(length, tile, overlap)
    assert first[0] == 0 and first == sorted(set(first))
    if length <= tile:
        assert first == [0]
        return
    assert first[-1] == length - tile
    steps = np.diff(first)
    # An even spread rounds to whole pixels, and neighbours of one pixel cannot overlap.
    assert steps.max() <= max(1, math.ceil(tile * (1 - overlap)))


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 3), st.sampled_from([0.0, 0.5]))
@settings(max_examples=60)
def test_an_identity_denoiser_gives_the_identity(height: int, width: int, count: int, overlap: float) -> None:
    tiled = TiledDenoiser(Patchwise(lambda x, sigma: x), overlap=overlap, batch=5)
    x = torch.randn(count, 1, height, width, generator=torch.Generator().manual_seed(height), dtype=torch.float64)
    assert torch.allclose(tiled(x, x.new_ones(count)), x, rtol=0, atol=1e-12)


@given(st.integers(1, 64), st.integers(1, 64))
def test_the_window_is_positive_and_symmetric(height: int, width: int) -> None:
    window = hann((height, width), torch.zeros(1, dtype=torch.float64))
    assert window.shape == (height, width) and window.min() > 0


def test_an_image_of_one_tile_is_the_inner_prior_itself() -> None:
    inner = Patchwise(curved)
    x, sigma = torch.randn(2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), torch.ones(2).double()
    assert torch.equal(TiledDenoiser(inner)(x, sigma), inner(x, sigma))
    assert torch.equal(TiledDenoiser(Patchwise(curved, patch=None))(x[..., :5], sigma), curved(x[..., :5], sigma))


# --- Blend and gradient -----------------------------------------------------------------------------------------------


@given(st.integers(8, 25), st.integers(8, 25), st.integers(1, 7))
@settings(max_examples=25)
def test_value_and_gradient_equal_a_plain_blend(height: int, width: int, batch: int) -> None:
    inner = Patchwise(curved)
    generator = torch.Generator().manual_seed(height * 100 + width)
    x = torch.randn(2, 1, height, width, generator=generator, dtype=torch.float64)
    weight = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    sigma = torch.tensor([0.3, 2.0], dtype=torch.float64)
    found = []
    for denoise in (TiledDenoiser(inner, batch=batch), lambda x, s: plain_blend(inner, x, s, (8, 8), 0.5)):
        at = x.clone().requires_grad_()
        value = denoise(at, sigma)
        (gradient,) = torch.autograd.grad((weight * value).sum(), at)
        found.append((value.detach(), gradient))
    assert torch.allclose(found[0][0], found[1][0], rtol=0, atol=1e-12)
    assert torch.allclose(found[0][1], found[1][1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 5, 6), (1, 8, 8), (1, 13, 21)])
def test_a_tiled_prior_is_a_prior(shape: tuple[int, int, int]) -> None:
    check_prior(TiledDenoiser(Patchwise(curved), batch=3), shape)


def test_no_graph_of_the_whole_image_is_held() -> None:
    calls = []

    def watched(x: Tensor, sigma: Tensor) -> Tensor:
        calls.append((len(x), torch.is_grad_enabled()))
        return curved(x, sigma)

    at = torch.randn(1, 1, 24, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = TiledDenoiser(Patchwise(watched), batch=4)(at, at.new_ones(1))
    assert all(not graph for _, graph in calls)
    forward = len(calls)
    value.sum().backward()
    assert len(calls) == 2 * forward and max(count for count, _ in calls) <= 4


# --- Memory and cancel ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_out_of_memory_halves_the_batch(error: type[RuntimeError]) -> None:
    sizes = []

    def small_memory(x: Tensor, sigma: Tensor) -> Tensor:
        sizes.append(len(x))
        if len(x) > 3:
            raise error("DefaultCPUAllocator: can't allocate memory")
        return curved(x, sigma)

    tiled = TiledDenoiser(Patchwise(small_memory), batch=16)
    x = torch.randn(2, 1, 24, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    value = tiled(x, x.new_ones(2))
    assert sizes[:3] == [16, 8, 4] and set(sizes[3:]) == {2} and tiled.batch == 2
    assert tiled.report() == {"shape": [8, 8], "count": 25, "batch": 2, "halved": 3}
    assert torch.allclose(value, plain_blend(Patchwise(curved), x, x.new_ones(2), (8, 8), 0.5), rtol=0, atol=1e-12)


@pytest.mark.parametrize("message", ["MPS backend out of memory", "DefaultCPUAllocator: not enough memory"])
def test_out_of_memory_on_samples_of_one_tile_halves_them(message: str) -> None:
    def small_memory(x: Tensor, sigma: Tensor) -> Tensor:
        if len(x) > 1:
            raise RuntimeError(message)
        return curved(x, sigma)

    tiled, x = TiledDenoiser(Patchwise(small_memory)), torch.linspace(-1, 1, 256).view(4, 1, 8, 8)
    assert torch.allclose(tiled(x, torch.ones(4)), curved(x, torch.ones(4)), rtol=0, atol=1e-6)
    assert (tiled.batch, tiled.halved) == (1, 2)


def test_out_of_memory_on_a_single_tile_is_reported() -> None:
    def no_memory(x: Tensor, sigma: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("planted")

    with pytest.raises(torch.OutOfMemoryError, match="planted"):
        TiledDenoiser(Patchwise(no_memory))(torch.zeros(1, 1, 24, 24), torch.ones(1))


def test_out_of_memory_in_the_gradient_halves_the_batch_too() -> None:
    def small_memory(x: Tensor, sigma: Tensor) -> Tensor:
        if torch.is_grad_enabled() and len(x) > 1:
            raise torch.OutOfMemoryError("planted")
        return curved(x, sigma)

    at = torch.randn(1, 1, 20, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    (found,) = torch.autograd.grad(TiledDenoiser(Patchwise(small_memory))(at, at.new_ones(1)).sum(), at)
    (exact,) = torch.autograd.grad(plain_blend(Patchwise(curved), at, at.new_ones(1), (8, 8), 0.5).sum(), at)
    assert torch.allclose(found, exact, rtol=0, atol=1e-12)


def test_a_cancel_comes_through_between_batches() -> None:
    class Stop(Exception):
        pass

    asked = []

    def on_tile() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise Stop

    with pytest.raises(Stop):
        TiledDenoiser(Patchwise(curved), batch=2, on_tile=on_tile)(torch.zeros(1, 1, 40, 40), torch.ones(1))
    assert len(asked) == 3


# --- T4: the law of the samples on a Gaussian process ------------------------------------------------------------------


def process(size: int) -> Tensor:
    """Covariance of a Gaussian process of correlation length 16 pixels."""
    at = torch.arange(size, dtype=torch.float64)
    return torch.exp(-0.5 * ((at[:, None] - at) / LENGTH) ** 2)


def patch_mean(x: Tensor, sigma: Tensor) -> Tensor:
    """Exact posterior mean of a strip of the process, from the strip alone."""
    values, vectors = torch.linalg.eigh(process(x.shape[-1]))
    values = values.clamp_min(0.0)
    gain = values / (values + sigma.view(-1, 1, 1, 1).square())
    return (gain * (x @ vectors)) @ vectors.T


def sampled_covariance(overlap: float) -> Tensor:
    """Covariance of unconditional ancestral samples drawn with a tiled denoiser, without Monte Carlo.

    The denoiser is linear, D = T x, so that the covariance can be carried through the steps exactly.
    """
    tiled = TiledDenoiser(Patchwise(patch_mean, patch=(1, TILE)), overlap=overlap, batch=4096)
    levels = karras(100.0, 0.01, 300)
    eye = torch.eye(N, dtype=torch.float64)
    covariance = levels[0] ** 2 * eye
    for sigma, lower in pairwise(levels):
        matrix = tiled(eye.view(N, 1, 1, N), eye.new_full((N,), sigma)).view(N, N).T
        fresh = lower**2 * (sigma**2 - lower**2) / sigma**2
        kept = math.sqrt(max(lower**2 - fresh, 0.0)) / sigma
        step = (1 - kept) * matrix + kept * eye
        covariance = step @ covariance @ step.T + fresh * eye
    return covariance


def covariance_error(covariance: Tensor) -> float:
    return float((covariance - process(N)).norm() / process(N).norm())


def seam_jump(covariance: Tensor) -> float:
    """Largest mean step between neighbours, in units of the process's own."""
    diagonal = covariance.diagonal()
    steps = (diagonal[1:] + diagonal[:-1] - 2 * covariance.diagonal(1)).sqrt()
    return float(steps.max()) / math.sqrt(2 - 2 * math.exp(-0.5 / LENGTH**2))


def test_t4_hann_windows_with_half_overlap_leave_no_seams() -> None:
    covariance = sampled_covariance(0.5)
    assert covariance_error(covariance) <= 0.12
    assert seam_jump(covariance) <= 1.05


def test_t4_without_overlap_there_are_seams() -> None:
    """The yardstick sees what it must see."""
    covariance = sampled_covariance(0.0)
    assert covariance_error(covariance) > 0.25
    assert seam_jump(covariance) > 2


def test_the_coverage_factor_of_the_prior_shows_through_its_tiles() -> None:
    plain = Patchwise(lambda x, sigma: x)
    assert TiledDenoiser(plain).coverage_factor(0.1) is None
    plain.coverage_factor = lambda sigma, sharpness, level: 1 + sigma + sharpness + level  # type: ignore[attr-defined]
    assert TiledDenoiser(plain).coverage_factor(0.1, 0.5, 0.5) == pytest.approx(2.1)
