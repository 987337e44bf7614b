"""Missing pixels: keep the measured ones."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Mask:
    """A x = the measured pixels of x, as a vector (B, C, m).

    Parameters
    ----------
    keep : Tensor of bool, shape (H, W) or (D, H, W)
        True where a pixel was measured.

    Raises
    ------
    ValueError
        If no pixel was measured.
    """

    name: ClassVar[str] = "mask"
    gaps: ClassVar[bool] = True

    def __init__(self, keep: Tensor) -> None:
        self.index = keep.reshape(-1).nonzero()[:, 0]
        if not len(self.index):
            raise ValueError("the mask leaves nothing to measure: unpaint some pixels.")
        self.domain = tuple(keep.shape)
        self.share = len(self.index) / keep.numel()
        self._keep = keep

    @cached_property
    def reach(self) -> float:
        """Distance in pixels that 99 % of the missing pixels are within of a measured one; at least 1."""
        import numpy as np
        from scipy.ndimage import distance_transform_edt

        missing = ~self._keep.cpu().numpy()
        return float(np.percentile(distance_transform_edt(missing)[missing], 99)) if missing.any() else 1.0

    def apply(self, x: Tensor) -> Tensor:
        """Measured pixels, shape (B, C, m)."""
        return x.flatten(2).index_select(-1, self.index)

    def adjoint(self, y: Tensor) -> Tensor:
        """Image with the measured pixels in place and zeros in the gaps."""
        image = y.new_zeros(*y.shape[:2], math.prod(self.domain))
        return image.index_copy_(-1, self.index, y).view(*y.shape[:2], *self.domain)

    extract = apply
    embed = adjoint

    def response(self, shape: tuple[int, int]) -> float:
        """Power response of the average pixel: the share of measured pixels."""
        return self.share

    def transfer(self, shape: tuple[int, int]) -> float:
        """No filter, only gaps."""
        return 1.0

    @classmethod
    def example(cls, shape: tuple[int, int], rng: np.random.Generator) -> Mask:
        """Instance for the conformance tests: about half of the pixels, at least one."""
        import torch

        keep = rng.random(shape) < 0.5
        keep.flat[int(rng.integers(keep.size))] = True
        return cls(torch.from_numpy(keep))
