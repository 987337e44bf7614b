from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from napari_diffprior.psf import PSF, gaussian_psf, prepare, prepare_psf
from napari_diffprior.psf.models import gaussian_from_fwhm


def measured(shape: tuple[int, ...] = (33, 33), centre: tuple[float, ...] | None = None, sigma: float = 2.0) -> Any:
    """A Gaussian point of peak 1000 somewhere in an array."""
    where = centre or tuple(side // 2 for side in shape)
    grid = np.indices(shape)
    squared = sum((axis - place) ** 2 for axis, place in zip(grid, where, strict=True))
    return 1000 * np.exp(-squared / (2 * sigma**2))


def widths(psf: Any) -> list[float]:
    """Standard deviation along each axis."""
    found = []
    for axis in range(psf.ndim):
        line = psf.sum(tuple(i for i in range(psf.ndim) if i != axis))
        at = np.arange(len(line)) - len(line) // 2
        found.append(float(np.sqrt((line * at**2).sum() / line.sum())))
    return found


@pytest.mark.parametrize("shape", [(33, 33), (32, 30), (21, 24, 33)])
@pytest.mark.parametrize("background", [0.0, 20.0, 400.0])
def test_background_and_even_sizes_leave_the_same_psf(shape: tuple[int, ...], background: float) -> None:
    centre = tuple(side // 2 + step for side, step in zip(shape, (1, -2, 1), strict=False))
    found = prepare(measured(shape, centre) + background)
    assert found.values.sum() == pytest.approx(1) and 0 <= found.values.min() < 1e-4 * found.values.max()
    assert all(side % 2 for side in found.values.shape)
    assert center_of_mass(found.values) == pytest.approx([side // 2 for side in found.values.shape], abs=0.02)
    assert widths(found.values) == pytest.approx([2.0] * len(shape), rel=0.03)
    said = " ".join(found.done)
    assert ("background" in said) == (background > 0)
    assert ("even size" in said) == any(side % 2 == 0 for side in shape)
    assert "off the middle" in said


def test_noise_does_not_shift_the_background() -> None:
    rng = np.random.default_rng(0)
    found = prepare(measured((33, 33, 33)) + 300 + 20 * rng.standard_normal((33, 33, 33)))
    assert "a background of 29" in found.done[0] or "a background of 30" in found.done[0]


@pytest.mark.parametrize(
    "kernel", [np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]), gaussian_psf(1.5), gaussian_psf([1.0, 2.0, 3.0])]
)
def test_a_designed_kernel_is_only_normalised(kernel: Any) -> None:
    found = prepare(kernel)
    assert np.allclose(found.values, kernel / kernel.sum()) and found.done == ()


def test_a_psf_larger_than_the_image_is_cropped_and_said() -> None:
    found = prepare(measured((61, 61), sigma=8.0), image_shape=(12, 100))
    assert found.values.shape == (23, 61) and found.values.sum() == pytest.approx(1)
    assert "farther than the image is wide" in found.done[-1] and "23 x 61" in found.done[-1]
    assert np.array_equal(prepare(found, image_shape=(12, 100)).values, found.values)


@pytest.mark.parametrize("ratio", [0.4, 0.73, 1.0, 1.9])
def test_resampling_keeps_the_width_in_the_world(ratio: float) -> None:
    found = prepare(measured((41, 43), sigma=4.0), voxel=(0.1, 0.1), image_voxel=(0.1 * ratio, 0.1))
    down, across = widths(found.values)
    assert across == pytest.approx(4.0, rel=0.01)
    box = ratio / np.sqrt(12) if ratio != 1 else 0.0  # a voxel collects the light of its own width
    assert down * ratio == pytest.approx(np.hypot(4.0, box), rel=0.01)
    assert center_of_mass(found.values) == pytest.approx([side // 2 for side in found.values.shape], abs=0.02)


@pytest.mark.parametrize(
    ("psf", "settings", "message"),
    [
        (np.zeros((5, 5, 5)), {}, "zero everywhere"),
        (np.full((9, 12), 7), {}, "constant"),
        (measured() - 200, {}, "negative"),
        (measured(), {"background": 2000.0}, "leaves nothing"),
        (np.ones((2, 2, 3, 3)), {}, "2-D image or a 3-D stack"),
        (measured(), {"voxel": (1.0,), "image_voxel": (1.0, 2.0)}, "voxel sizes"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(psf: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        prepare(psf, **settings)
    assert "\n" not in str(caught.value)


def test_a_prepared_psf_passes_through() -> None:
    ready = PSF(gaussian_psf(1.0), ("it was made up.",))
    assert prepare(ready).done == ready.done and np.allclose(prepare_psf(ready), ready.values)


def test_a_gaussian_from_its_fwhm() -> None:
    psf = gaussian_from_fwhm((0.6, 0.25, 0.25), (0.2, 0.05, 0.05))
    line = psf[psf.shape[0] // 2, psf.shape[1] // 2]
    at = np.interp(0.25 / 2 / 0.05, np.arange(len(line) // 2 + 1), line[len(line) // 2 :])
    assert at / line.max() == pytest.approx(0.5, abs=0.01)
    with pytest.raises(ValueError, match="one width for each axis"):
        gaussian_from_fwhm((0.6,), (0.2, 0.1))
