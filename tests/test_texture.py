"""Spectra of one image size read at the frequencies of another's."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_diffprior.half_grid import radius
from napari_diffprior.texture import _resampled

SIDES = st.tuples(st.integers(8, 700), st.integers(8, 700))


@settings(deadline=None)
@given(SIDES, SIDES)
@example((675, 675), (512, 512))  # 640 pixels under a wide blur
@example((512, 512), (675, 675))
def test_a_spectrum_is_read_at_the_nearest_frequencies_of_any_other_size(grid: tuple[int, int], wanted: tuple[int, int]) -> None:
    found = _resampled(torch.from_numpy(radius(grid))[None], grid, wanted)
    assert found.shape == (1, wanted[0], wanted[1] // 2 + 1)
    apart = np.hypot(*(0.5 / np.array(grid) + 0.5 / np.array(wanted)))
    assert np.abs(found[0].numpy() - radius(wanted)).max() <= apart
