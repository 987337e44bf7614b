"""Motion blur: the image moves in a straight line while it is exposed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from .blur import Blur

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Motion(Blur):
    """Blur by a line of even brightness.

    Parameters
    ----------
    length : float
        Length of the movement in pixels, 0 or more.
    angle : float
        Degrees, anticlockwise from the horizontal.
    grid : tuple of int
        Shape of the measured image.
    like : Tensor, optional
        Gives type and device; float32 on the CPU by default.
    """

    name: ClassVar[str] = "motion"

    def __init__(self, length: float, angle: float, grid: Sequence[int], like: Tensor | None = None) -> None:
        import torch

        psf = torch.from_numpy(motion_psf(length, angle)).float()
        super().__init__(psf if like is None else psf.to(like), grid)

    @classmethod
    def example(cls, shape: Sequence[int], rng: np.random.Generator) -> Motion:
        """Instance for the conformance tests."""
        import torch

        return cls(float(rng.uniform(0, 6)), float(rng.uniform(0, 180)), shape, torch.zeros(1, dtype=torch.float64))


def motion_psf(length: float, angle: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """PSF of a straight movement, with bilinear weights, sum 1.

    Parameters
    ----------
    length : float
        In pixels, 0 or more.
    angle : float
        Degrees, anticlockwise from the horizontal.

    Returns
    -------
    ndarray, shape (2 r + 1, 2 r + 1)
        With r = ceil(length / 2) + 1.

    Raises
    ------
    ValueError
        If the length is negative.
    """
    import numpy as np

    if length < 0:
        raise ValueError(f"a movement has a length of 0 pixels or more, not {length}.")
    steps = np.linspace(-0.5, 0.5, 16 * math.ceil(length) + 1) * length
    reach = math.ceil(length / 2) + 1
    rows, columns = reach - steps * math.sin(math.radians(angle)), reach + steps * math.cos(math.radians(angle))
    psf = np.zeros((2 * reach + 1, 2 * reach + 1))
    for below, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        top, left = np.floor(rows).astype(int) + below, np.floor(columns).astype(int) + right
        np.add.at(psf, (top, left), (1 - np.abs(rows - top)) * (1 - np.abs(columns - left)))
    psf /= psf.sum()
    return psf
