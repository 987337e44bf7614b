"""What the spectrum of a residual says of the texture of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_diffprior.half_grid import radius
from napari_diffprior.measurement import Measurement
from napari_diffprior.noise.gaussian import Gaussian
from napari_diffprior.operators.blur import Blur
from napari_diffprior.operators.contract import domain_of
from napari_diffprior.priors.spectrum import SpectrumTable
from napari_diffprior.rng import BatchNoise
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


def test_noise_that_is_slightly_stronger_than_said_is_no_texture() -> None:
    """In a large image 2 % more noise is far beyond chance; behind a blur it must not pass for hidden structure."""
    side = 384
    operator, noise = Blur.gaussian(2.0, (side, side)), BatchNoise(0, 2)
    shape = (1, *domain_of(operator, (side, side)))
    zero = torch.zeros(2, *shape)
    frequencies = np.linspace(0, 0.75, 100)
    power = np.exp(-((frequencies / 0.15) ** 2)) / 500 + 1e-6
    error = SpectrumTable(np.array([0.05, 1.0, np.inf]), frequencies, np.stack([power] * 3)).covariance(0.2, shape, zero)
    y = operator.apply(error.draw(noise, zero)) + 1.02 * 0.05 * noise.normal((1, side, side), zero)
    own: Any = Measurement(y, operator, Gaussian(sigma=0.05), shape).own_error(zero, error)
    assert float((own.power / error.power).max()) < 8  # 25 if chance alone were in doubt
