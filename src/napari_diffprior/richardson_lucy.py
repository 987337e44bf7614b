"""Sharpening without a prior: Richardson-Lucy (Richardson 1972; Lucy 1974), with an unknown border where the operator has one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from .operators.contract import adjoint

if TYPE_CHECKING:
    from torch import Tensor

    from .measurement import Measurement
    from .operators.contract import Operator

MOST = 500  # iterations
MORE = 0.1  # iterations until the misfit is looked at again, as a share of those that were done
LEAST = 1e-3  # light, model units


def richardson_lucy(light: Tensor, operator: Operator, shape: tuple[int, ...], base: float = 0.0) -> Iterator[Tensor]:
    """Images (1, C, ...) of one iteration after the other, without end.

    The first is even within a plane and as bright as the plane is seen by the measurement: a stack is taken around what it
    shows, so where a PSF does not say which plane light came from, it came rather from within the stack.

    Parameters
    ----------
    light : Tensor, shape (1, C, ...) of a measurement
        Above the dark; negative values are noise.
    operator : Operator
        Of weights that are not negative.
    shape : tuple of int
        Of the images that it takes, (C, ...).
    base : float
        Added to measured and expected light, so that noise in the dark is not cut off at 0 (Snyder et al. 1995).
    """
    counts = (light + base).clamp_min(0.0)
    seen = adjoint(operator, light.new_ones(light.shape), shape).clamp_min(LEAST)
    window = seen.amax((-2, -1), keepdim=True) / seen.max()
    image = (max(float(light.mean()), LEAST) * window).expand(1, *shape)
    while True:
        image = image * adjoint(operator, counts / (operator.apply(image) + base).clamp_min(LEAST), shape) / seen
        yield image


def sharpened(measurement: Measurement, poll: Callable[[], object] = lambda: None) -> Tensor:
    """Image in model units that is as far from the data as their noise: the first whose misfit is below 1 - sqrt(2 / m).

    The noise alone has a misfit of 1 +- sqrt(2 / m) (Morozov's discrepancy principle). A camera's offset is its dark; of other
    noise the darkest measurement is. ``poll`` is called on the way and may raise to end it.
    """
    dark = float(getattr(measurement.noise, "offset", -1.0))
    precision = measurement.noise.precision(0 * measurement.y + dark)
    base = 2 * (precision if isinstance(precision, float) else float(precision[precision > 0].mean())) ** -0.5
    iterations = richardson_lucy(measurement.y - dark, measurement.operator, measurement.shape, base)
    goal = 1 - math.sqrt(2 / measurement.count)
    due = 1.0
    for number, image in enumerate(islice(iterations, MOST), 1):
        poll()
        if number < due:
            continue
        if float(measurement.misfit(dark + image)) <= goal:
            break
        due = number * (1 + MORE)
    return dark + image
