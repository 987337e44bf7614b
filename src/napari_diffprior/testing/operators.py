"""Check of an operator: adjoint, batches, optional methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..operators.contract import Operator, adjoint, domain_of, is_linear, jacobian_transpose
from .require import close, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor


def check_operator(
    operator: Operator, shape: Sequence[int], rng: np.random.Generator, *, channels: int = 1, tolerance: float = 1e-10
) -> None:
    """Check an operator's adjoint, batches and optional methods on random float64 images.

    Parameters
    ----------
    operator : Operator
    shape : sequence of int
        Grid (H, W) or (D, H, W) of the measurement; the operator's ``domain`` tells the shape of its images.
    rng : numpy.random.Generator
    channels : int
    tolerance : float
        Largest relative difference between <A x, y> and <x, A^T y>.

    Raises
    ------
    AssertionError
        If the adjoint is not the transpose of ``apply``, if samples of a batch touch each other, if a linear
        operator is not, or if ``extract``, ``embed`` or ``response`` do not fit.
    """
    import torch

    image_shape = (channels, *domain_of(operator, shape))
    x = torch.from_numpy(rng.standard_normal((3, *image_shape)))
    measured = operator.apply(x)
    y = torch.from_numpy(rng.standard_normal(tuple(measured.shape)))
    alone = torch.cat([operator.apply(one[None]) for one in x])
    require(close(measured, alone, tolerance), "apply mixes the samples of a batch.")
    require(close(operator.apply(x), measured, 0.0), "apply gives another result for the same images.")
    if is_linear(operator):
        _check_linear(operator, x, y, image_shape, tolerance)
    _check_grid(operator, image_shape, x, y, tolerance)


def _check_linear(operator: Operator, x: Tensor, y: Tensor, shape: tuple[int, ...], tolerance: float) -> None:
    import torch

    measured = operator.apply(x)
    mixed = operator.apply(2 * x[:1] - 3 * x[1:2])
    require(close(mixed, 2 * measured[:1] - 3 * measured[1:2], tolerance), "apply is not linear: set linear = False.")
    back = adjoint(operator, y, shape)
    require(back.shape == x.shape, f"the adjoint gives {tuple(back.shape)} for images {tuple(x.shape)}.")
    left, right = (measured * y).flatten(1).sum(1), (x * back).flatten(1).sum(1)
    scale = (measured.flatten(1).norm(dim=1) * y.flatten(1).norm(dim=1)).clamp_min(1e-300)
    worst = float(((left - right).abs() / scale).max())
    require(worst <= tolerance, f"<A x, y> and <x, A^T y> differ by {worst:.1e} of |A x| |y|: the adjoint is wrong.")
    alone = torch.cat([adjoint(operator, one[None], shape) for one in y])
    require(close(back, alone, tolerance), "the adjoint mixes the samples of a batch.")
    require(close(back, jacobian_transpose(operator, x, y), tolerance), "the adjoint differs from autograd's.")


def _check_grid(operator: Any, shape: tuple[int, ...], x: Tensor, y: Tensor, tolerance: float) -> None:
    """Check ``extract``, ``embed`` and ``response`` where they are offered."""
    import torch

    if hasattr(operator, "extract") and hasattr(operator, "embed"):
        cut, canvas = operator.extract(x), operator.embed(y)
        require(cut.shape == y.shape, f"extract gives {tuple(cut.shape)} for measurements {tuple(y.shape)}.")
        left, right = (cut * y).sum(), (x * canvas).sum()
        scale = float(cut.norm() * y.norm())
        require(abs(float(left - right)) <= tolerance * scale, "extract and embed are not adjoint to each other.")
        require(close(operator.extract(canvas), y, tolerance), "extract does not undo embed.")
    if hasattr(operator, "response"):
        half = (*shape[1:-1], shape[-1] // 2 + 1)
        response = torch.as_tensor(operator.response(shape[1:]), dtype=torch.float64)
        require(response.numel() == 1 or response.shape[-len(half) :] == half, f"response has not the real-FFT shape {half}.")
        require((response >= 0).all() and response.isfinite().all(), "response is negative or not finite.")
