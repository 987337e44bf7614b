"""What an operator is, and what can be derived when it offers only ``apply``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Operator(Protocol):
    """Forward model A from images (B, C, H, W) to measurements (B, ...).

    Only ``apply`` is a must. An operator may also offer

    - ``adjoint(y)``: A^T y; otherwise autograd's vector-Jacobian product serves;
    - ``linear = False``, if it is not linear;
    - ``domain``: (H, W) of the images it takes, if it differs from the measurement's grid;
    - ``extract(x)`` and ``embed(y)``: from its domain to the measurement's grid and back, without the physics
      (crop and pad, gather and scatter);
    - ``reach``: how far in pixels what is not measured lies from what is; 1 if it does not say;
    - ``width``: standard deviation in pixels of its blur; 1 if it does not say;
    - ``response(shape)``: its approximate power response ``|H|^2`` on the real-FFT grid of a shape, for the
      preconditioner of the data step;
    - ``transfer(shape)``: its transfer function H on the same grid, if A is exactly ``extract F^-1 H F`` on fields of any shape
      that holds its domain; then an iteration of the data step costs one pair of FFTs instead of three;
    - ``gaps = True``, if it leaves out pixels of its domain;
    - ``precondition(r, power, grid, variance)`` instead of ``response``: approximately (A R A^T + variance)^-1 r for a
      stationary R with this power on the real-FFT ``grid``; symmetric and positive. Without either the data step goes
      without a preconditioner.
    """

    def apply(self, x: Tensor) -> Tensor:
        """Measurement that an image would give without noise."""
        ...


def is_linear(operator: Operator) -> bool:
    """Whether A is linear; operators are, unless they say otherwise."""
    return bool(getattr(operator, "linear", True))


def adjoint(operator: Operator, y: Tensor, shape: Sequence[int]) -> Tensor:
    """A^T y for images of one sample's ``shape`` (C, H, W), by the operator's own adjoint or by autograd."""
    if hasattr(operator, "adjoint"):
        return cast("Tensor", operator.adjoint(y))
    return jacobian_transpose(operator, y.new_zeros(len(y), *shape), y)


def jacobian_transpose(operator: Operator, x: Tensor, y: Tensor) -> Tensor:
    """J(x)^T y with the Jacobian J of the operator at x, by autograd."""
    import torch

    with torch.enable_grad():
        at = x.detach().requires_grad_()
        (product,) = torch.autograd.grad(operator.apply(at), at, y)
    return product


def offers(operator: Operator, *methods: str) -> bool:
    """Whether an operator has all of these optional methods; None withdraws an inherited one."""
    return all(getattr(operator, method, None) is not None for method in methods)


def domain_of(operator: Operator, grid: Sequence[int]) -> tuple[int, ...]:
    """Spatial shape of the images for measurements on a grid (H, W)."""
    return tuple(getattr(operator, "domain", grid))


def reach_of(operator: Operator) -> float:
    """Distance in pixels over which an image must be made up."""
    return float(getattr(operator, "reach", 1.0))


def width_of(operator: Operator) -> float:
    """Standard deviation in pixels over which an image is blurred, at least 1."""
    return float(getattr(operator, "width", 1.0))


def extract(operator: Operator, x: Tensor) -> Tensor:
    """Part of an image, without the physics, that lies where the measurement lies."""
    return cast("Tensor", operator.extract(x)) if hasattr(operator, "extract") else x


def fixed_signs(like: Tensor) -> Tensor:
    """Random signs for Hutchinson's estimates of a trace, the same every time; shape (1, ...) of one of ``like``."""
    import torch

    signs = torch.randint(0, 2, like[:1].shape, generator=torch.Generator().manual_seed(0)).to(like)
    return 2.0 * signs - 1.0


def mean_gain(operator: Operator, shape: Sequence[int], like: Tensor) -> float:
    """Mean eigenvalue of A A^T by one Hutchinson estimate with fixed signs.

    Parameters
    ----------
    operator : Operator
        Linear.
    shape : sequence of int
        (C, H, W) of the images.
    like : Tensor
        Measurement whose shape, dtype and device are used.
    """
    signs = fixed_signs(like)
    return float(adjoint(operator, signs, shape).square().sum() / signs.numel())


def embed_measured(operator: Operator, y: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor | None]:
    """Measurement as an image of one sample's ``shape``, for methods that start from it.

    Returns
    -------
    image : Tensor, shape (1, C, H, W)
        The measurement where it lies; what was not measured holds the mean of what was. Where the measurement is no
        image, A^T y scaled to its size, or zeros if A is not linear or measures nothing.
    measured : Tensor, shape (1, C, H, W), or None
        1 where a pixel itself was measured, if A only selects pixels and leaves gaps, else None.
    """
    import torch

    if not is_linear(operator):
        return y.new_zeros(1, *shape), None
    if not hasattr(operator, "embed"):
        gain = mean_gain(operator, shape, y)
        return (adjoint(operator, y, shape) / gain if gain > 0 else y.new_zeros(1, *shape)), None
    where: Tensor = operator.embed(torch.ones_like(y))
    image: Tensor = operator.embed(y) + (1 - where) * y.mean()
    probe = torch.linspace(-1, 1, image[0].numel(), dtype=y.dtype, device=y.device).view(1, *image.shape[1:])
    selects = torch.equal(operator.apply(probe), extract(operator, probe))
    return image, where if selects and bool((where == 0).any()) else None
