"""Guidance by the gradient through the denoiser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..gmres import gmres

if TYPE_CHECKING:
    from torch import Tensor

    from ..measurement import Measurement
    from ..priors.contract import Covariance, Denoiser


class TweedieCovariance:
    """Cov[x0 | x] = sigma^2 J, J = dD/dx, at one x (Tweedie).

    Symmetric but for the network's faults, so that J^T v serves for J v.

    Parameters
    ----------
    prior : Denoiser
    x : Tensor, shape (B, C, H, W)
        Noisy images.
    sigma : float
        Their noise.

    Attributes
    ----------
    mean : Tensor, shape (B, C, H, W)
        D.
    """

    def __init__(self, prior: Denoiser, x: Tensor, sigma: float) -> None:
        import torch

        self.sigma = sigma
        with torch.enable_grad():
            self._at = x.detach().requires_grad_()
            self._denoised = prior(self._at, x.new_full((len(x),), sigma))
        self.mean = self._denoised.detach()

    def apply(self, x: Tensor) -> Tensor:
        """R x."""
        import torch

        (product,) = torch.autograd.grad(self._denoised, self._at, x, retain_graph=True)
        return self.sigma**2 * product


def matched(
    measurement: Measurement, exact: TweedieCovariance, centre: Tensor, iterations: int, measured: Covariance | None = None
) -> Tensor:
    """E[x0 | x, y] - D for x0 ~ N(D, R) with R = sigma^2 J: the move R A^T (A R A^T + V)^-1 (y - A D).

    Parameters
    ----------
    measurement : Measurement
    exact : TweedieCovariance
        R, which is known by its products: a gradient of the network for each iteration.
    centre : Tensor, shape (B, C, H, W)
        Image that gives V where the noise depends on it.
    iterations : int
    measured : Covariance, optional
        Error covariance that is near R and easy to solve with: it saves half of the iterations or more.
    """
    root = measurement.noise.precision(measurement.operator.apply(centre)) ** 0.5
    moves: list[Tensor] = []

    def system(u: Tensor) -> Tensor:
        moves.append(exact.apply(measurement.adjoint(root * u)))
        return root * measurement.operator.apply(moves[-1]) + u

    def nearly(r: Tensor) -> Tensor:
        return r if measured is None else measurement.solve(r, measured, root, 0.05, 12)

    residual = root * (measurement.y - measurement.operator.apply(exact.mean))
    weights = gmres(system, residual, iterations, nearly)
    return sum(weights[:, k].view(-1, *[1] * (centre.ndim - 1)) * move for k, move in enumerate(moves))  # type: ignore[return-value]


def guided(
    measurement: Measurement, prior: Denoiser, x: Tensor, sigma: float, error: Covariance, iterations: int = 50, cut: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """D, the pull p = A^T (A R A^T + V)^-1 (y - A D), and the move sigma^2 J p from D to E[x0 | x, y], cut where too long."""
    import torch

    with torch.enable_grad():
        at = x.detach().requires_grad_()
        graph = prior(at, at.new_full((len(at),), sigma))
    x0 = graph.detach()
    pull = measurement.pull(x0, error, 1e-3, iterations)
    (score,) = torch.autograd.grad(graph, at, pull)
    move = sigma**2 * score
    return x0, pull, best_length(measurement, x0, move, pull) * move if cut else move


def best_length(measurement: Measurement, x0: Tensor, move: Tensor, pull: Tensor) -> Tensor:
    """Length of a move sigma^2 J p that is best for N(D, sigma^2 J) and the data, at most 1; per sample.

    A network's Jacobian J is not quite its own error, and one number for the error's variance is too little for coarse
    structure: without a limit such moves overshoot, and with few steps they diverge.
    """

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).flatten(1).sum(1)

    expected = measurement.operator.apply(x0)
    seen = measurement.operator.apply(x0 + move) - expected
    weighted = measurement.noise.precision(expected) * seen
    best = dot(weighted, measurement.y - expected) / (dot(weighted, seen) + dot(move, pull).clamp_min(0.0))
    return best.nan_to_num(0.0).clamp(0.0, 1.0).view(-1, *[1] * (x0.ndim - 1))


def settled(measurement: Measurement, prior: Denoiser, x0: Tensor) -> Tensor:
    """Last estimate, given the data once more where its error was measured on other images.

    What the denoiser takes for noise has no gradient through it and stays further from the data than the noise. The
    residual says how much of it this image has; its spectrum is that of the error where the data still help, at a quarter
    of their noise. An exact error, or an operator that is not linear, leaves the estimate as it is.
    """
    held_out = prior.error(max(0.25 * measurement.sigma, prior.sigma_min), measurement.shape, x0)
    own = measurement.own_error(x0, held_out)
    return x0 if own is held_out else measurement.condition(x0, own)
