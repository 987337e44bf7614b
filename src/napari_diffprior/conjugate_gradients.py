"""Conjugate gradients for a batch of systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def conjugate_gradients(
    system: Callable[[Tensor], Tensor],
    right: Tensor,
    preconditioner: Callable[[Tensor], Tensor],
    tolerance: float,
    iterations: int,
    objective: Tensor | None = None,
) -> Tensor:
    """Solve a symmetric positive system for each sample of a batch on its own.

    A sample that has converged stands still, so that the others' iterations cannot change it. It has when an iteration adds
    little to the energy u^T S u of its solution: what the error of a data step is worth in units of the noise (Hestenes &
    Stiefel 1952, theorem 6:1); or, where S and ``right`` are those of a least-squares problem, when it lowers the objective
    by little. The residual falls later, where a few directions that hardly matter converge slowly.

    Parameters
    ----------
    system, preconditioner : callable
        Linear maps on batches.
    right : Tensor, shape (B, ...)
        Right-hand side.
    tolerance : float
        Square root of the share of the energy, or of what is left of the objective, that an iteration must make to go on.
    iterations : int
        Most iterations.
    objective : Tensor, shape (B,), optional
        Least-squares objective of the solution 0.

    Returns
    -------
    Tensor, shape (B, ...)
    """
    import torch
    from torch.linalg import vecdot

    def dot(a: Tensor, b: Tensor) -> Tensor:
        product: Tensor = vecdot(a.flatten(1), b.flatten(1))
        return product.view(-1, *[1] * (a.ndim - 1))

    rounding = torch.finfo(right.dtype).eps ** 1.5  # of the energy: the residual's own, squared, times what a system amplifies
    solution = right.new_zeros(right.shape)
    residual = right
    direction = preconditioned = preconditioner(residual)
    power = dot(residual, preconditioned)
    energy, active = power.new_zeros(power.shape), power > 0
    whole = None if objective is None else objective.view(power.shape)
    for _ in range(iterations):
        product = system(direction)
        length = (power / dot(direction, product)).nan_to_num(0.0) * active
        solution.addcmul_(length, direction)
        residual = residual.addcmul(length, product, value=-1)  # never in place: where nothing preconditions, it is the direction
        energy = energy + length * power
        gained = length * power
        if whole is None:
            active = active & (gained > tolerance**2 * energy)
        else:  # a gain that rounding could have made is none: going on, a direction of rounding alone can undo the solution
            active = active & (gained > torch.maximum(tolerance**2 * (whole - energy), rounding * energy))
        if not bool(active.any()):
            break
        preconditioned = preconditioner(residual)
        previous, power = power, dot(residual, preconditioned)
        direction = preconditioned.addcmul((power / previous).nan_to_num(0.0), direction)
    return solution
