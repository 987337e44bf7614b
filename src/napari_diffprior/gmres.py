"""Generalised minimal residuals for a batch of systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def gmres(
    system: Callable[[Tensor], Tensor], right: Tensor, iterations: int, precondition: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Weights of the directions z_k to which S is applied, so that |S sum_k w_k z_k - b| is least; each sample on its own.

    S need be neither symmetric nor positive: the residual never grows from one iteration to the next, where conjugate
    gradients run away. What else was computed from the directions adds up with the same weights. The preconditioner may
    change from one iteration to the next (Saad 1993, flexible GMRES, algorithm 2.2).

    Parameters
    ----------
    system : callable
        Linear map S on batches.
    right : Tensor, shape (B, ...)
        Right-hand side b.
    iterations : int
        Directions K.
    precondition : callable, optional
        Approximately S^-1.

    Returns
    -------
    Tensor, shape (B, K)
    """
    import torch

    tiny = torch.finfo(right.dtype).tiny
    norm = right.flatten(1).norm(dim=1)
    basis = [right.flatten(1) / norm.clamp_min(tiny)[:, None]]
    hessenberg = right.new_zeros(len(right), iterations + 1, iterations)
    for column in range(iterations):
        direction = basis[-1].view_as(right)
        image = system(direction if precondition is None else precondition(direction)).flatten(1)
        for row, known in enumerate(basis):
            hessenberg[:, row, column] = torch.linalg.vecdot(known, image)
            image = image - hessenberg[:, row, column, None] * known
        hessenberg[:, column + 1, column] = image.norm(dim=1)
        basis.append(image / hessenberg[:, column + 1, column, None].clamp_min(tiny))
    weights: Tensor = norm[:, None] * torch.linalg.pinv(hessenberg)[:, :, 0]  # of lesser rank once the residual is nothing
    return weights
