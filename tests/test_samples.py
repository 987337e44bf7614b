from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files

import numpy as np
import pytest

from napari_diffprior.samples import SYNTHETIC_SCALE, SYNTHETIC_UNITS, Sample, bpae, synthetic

both = pytest.mark.parametrize("make", [bpae, synthetic])


@both
def test_shapes_and_types(make: Callable[[], Sample]) -> None:
    image, mask, reference = make()
    assert image.shape == mask.shape == reference.shape == (256, 256)
    assert (image.dtype, mask.dtype, reference.dtype) == (np.float32, np.uint8, np.float32)
    assert set(np.unique(mask)) == {0, 1}
    assert np.isfinite(image).all()


@both
def test_always_the_same_pixels(make: Callable[[], Sample]) -> None:
    for first, second in zip(make(), make(), strict=True):
        np.testing.assert_array_equal(first, second)


@both
def test_only_noise_of_one_percent_outside_the_mask(make: Callable[[], Sample]) -> None:
    image, mask, reference = make()
    error = (image - reference)[mask == 0] / np.ptp(reference)
    assert error.std() == pytest.approx(0.01, rel=0.02)
    assert abs(error.mean()) < 0.0003
    assert (image[mask == 1] == reference.min()).all()


def test_damage_is_scratches_and_dead_pixels() -> None:
    from scipy.ndimage import label

    mask = bpae()[1]
    assert 0.08 < mask.mean() < 0.25
    parts, count = label(mask)
    sizes = np.bincount(parts.ravel())[1:]
    assert count > 1000 and sizes.max() > 2000


def test_synthetic_has_a_physical_scale() -> None:
    assert SYNTHETIC_SCALE == (0.1, 0.1)
    assert SYNTHETIC_UNITS == ("um", "um")
    assert 0.05 < synthetic()[1].mean() < 0.25


def test_the_shipped_files_are_small() -> None:
    folder = files("napari_diffprior") / "sample_data"
    assert sum(len(entry.read_bytes()) for entry in folder.iterdir()) < 1_000_000


def test_needs_neither_torch_nor_qt() -> None:
    code = "import sys; from napari_diffprior import samples as s; s.bpae(); s.synthetic(); print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert not loaded & {"torch", "diffusers", "napari", "qtpy", "magicgui"}
