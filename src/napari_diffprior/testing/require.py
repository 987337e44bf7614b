"""How a check fails: with one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def require(fulfilled: Any, message: str) -> None:
    """Raise AssertionError with the message unless it is fulfilled."""
    if not bool(fulfilled):
        raise AssertionError(message)


def close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Whether two tensors agree relative to the larger of them."""
    import torch

    scale = max(float(a.abs().max()), float(b.abs().max()), 1e-300)
    return a.shape == b.shape and bool(torch.isfinite(a - b).all()) and float((a - b).abs().max()) <= tolerance * scale
