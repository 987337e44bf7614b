from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from napari_diffprior.metrics import WEIGHTS_VARIABLE, coverage, lpips, lpips_distance, psnr, ssim

images = npst.arrays("float64", (6, 5), elements=st.floats(-1e4, 1e4).map(lambda value: round(value, 3)))


def picture(seed: int = 0, shape: tuple[int, ...] = (64, 48)) -> Any:
    return np.random.default_rng(seed).random(shape)


@given(restored=images, reference=images, data_range=st.none() | st.floats(0.1, 1e4))
def test_psnr_is_its_definition(restored: Any, reference: Any, data_range: float | None) -> None:
    span = data_range or float(reference.max() - reference.min())
    error = float(np.mean((restored - reference) ** 2))
    if span == 0:
        with pytest.raises(ValueError, match="constant"):
            psnr(restored, reference, data_range)
    elif error == 0:
        assert psnr(restored, reference, data_range) == math.inf
    else:
        assert psnr(restored, reference, data_range) == pytest.approx(10 * math.log10(span**2 / error), abs=1e-9)


@given(gain=st.floats(0.01, 1e5), offset=st.floats(-1e3, 1e3))
def test_psnr_and_ssim_do_not_know_the_unit(gain: float, offset: float) -> None:
    first, second = picture(0), picture(1)
    assert psnr(gain * first + offset, gain * second + offset) == pytest.approx(psnr(first, second), abs=1e-6)
    assert ssim(gain * first, gain * second) == pytest.approx(ssim(first, second), abs=1e-6)


def test_psnr_takes_integers_without_overflow() -> None:
    first, second = np.array([[0, 255]], "uint8"), np.array([[255, 0]], "uint8")
    assert psnr(first, second) == pytest.approx(0)


def test_ssim() -> None:
    assert ssim(picture(), picture()) == pytest.approx(1)
    assert ssim(picture(0), picture(1)) < 0.2
    assert ssim(picture(0, (16, 16, 3)), picture(0, (16, 16, 3)), channel_axis=-1) == pytest.approx(1)


def test_lpips_of_the_published_example() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(123)
    first, second = (torch.rand(10, 3, 100, 100) * 2 - 1 for _ in range(2))
    assert lpips_distance(first, second).mean().item() == pytest.approx(0.1008, abs=5e-5)


def test_lpips_of_identical_images_is_zero() -> None:
    assert lpips(picture(), picture()) == 0
    assert lpips(picture(0, (40, 40, 3)), picture(0, (40, 40, 3))) == 0


def test_lpips_grows_with_the_damage_and_does_not_know_the_unit() -> None:
    smooth = np.add.outer(np.sin(np.arange(64) / 5), np.cos(np.arange(64) / 7))
    little, much = (lpips(smooth + level * picture(1, (64, 64)), smooth) for level in (0.05, 0.5))
    assert 0 < little < much
    scaled = lpips(100 * (smooth + 0.5 * picture(1, (64, 64))) + 7, 100 * smooth + 7)
    assert scaled == pytest.approx(much, rel=1e-3)


def test_lpips_per_image_of_a_batch() -> None:
    torch = pytest.importorskip("torch")
    first, second = (torch.from_numpy(picture(seed, (3, 3, 40, 40))).float() * 2 - 1 for seed in (0, 1))
    single = torch.cat([lpips_distance(first[i : i + 1], second[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(lpips_distance(first, second), single)


def test_lpips_says_where_the_weights_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=WEIGHTS_VARIABLE):
        lpips(picture(), picture(), tmp_path)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError, match=WEIGHTS_VARIABLE):
        lpips(picture(), picture())


@pytest.mark.parametrize("measure", [psnr, ssim, lpips])
def test_shapes_must_agree(measure: Any) -> None:
    with pytest.raises(ValueError, match="one shape"):
        measure(picture(0, (40, 40)), picture(0, (40, 41)))


@pytest.mark.parametrize("shape", [(16, 64), (64, 64, 2), (2, 64, 64, 3)])
def test_lpips_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="LPIPS takes"):
        lpips(picture(0, shape), picture(1, shape))


def test_coverage() -> None:
    low, high = np.zeros((2, 2)), np.ones((2, 2))
    assert coverage(low, high, [[0, 1], [0.5, 2]]) == 0.75
    with pytest.raises(ValueError, match="one shape"):
        coverage(low, high, np.zeros(3))


def test_coverage_of_one_standard_deviation() -> None:
    draws = np.random.default_rng(0).standard_normal(100_000)
    ones = np.ones_like(draws)
    assert coverage(-ones, ones, draws) == pytest.approx(0.683, abs=0.01)
