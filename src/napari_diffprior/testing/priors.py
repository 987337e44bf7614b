"""Check of a prior: shape, batches, gradient, error covariance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .require import close, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ..priors.contract import Denoiser


def check_prior(prior: Denoiser, shape: tuple[int, int, int], *, double: bool = True, draws: int = 2000) -> None:
    """Check a denoiser's shape, batches and gradient, and that its error covariance is one.

    Parameters
    ----------
    prior : Denoiser
    shape : (int, int, int)
        (C, H, W).
    double : bool
        Feed float64 and ask for agreement to 1e-9; False feeds float32, for networks, and asks for 1e-4.
    draws : int
        Draws of the error covariance with which its ``draw`` is compared with its ``apply``.

    Raises
    ------
    AssertionError
        If a part of the contract is broken.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, *shape, generator=generator, dtype=torch.float64 if double else torch.float32)
    low, high = prior.sigma_min, min(prior.sigma_max, 10.0)
    require(0 < low < prior.sigma_max < math.inf, "sigma_min and sigma_max are not a range above 0.")
    require(prior.channels == shape[0], f"the prior has {prior.channels} channels, not {shape[0]}.")
    sigma = x.new_tensor([low * (high / low) ** share for share in (0.3, 0.6, 0.9)])
    kept = x.clone()
    with torch.no_grad():
        together = prior(x, sigma)
        alone = torch.cat([prior(x[i : i + 1], sigma[i : i + 1]) for i in range(3)])
    tolerance = 1e-9 if double else 1e-4
    require(together.dtype == x.dtype, f"D has the type {together.dtype} for images of {x.dtype}.")
    require(torch.equal(kept, x), "the prior writes into its input.")
    require(close(together, alone, tolerance), "D has another shape than x, or mixes the samples of a batch.")
    at = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(prior(at, sigma).square().sum(), at)
    require(gradient.isfinite().all() and bool(gradient.abs().sum() > 0), "D is not differentiable in x.")
    for level in (float(sigma[0]), float(sigma[1]), math.inf):
        _check_covariance(prior, level, shape, x, draws)


def _check_covariance(prior: Denoiser, sigma: float, shape: Sequence[int], like: Tensor, draws: int) -> None:
    """Probe R = error(sigma): symmetric, positive, with draws and a mean variance that fit."""
    import torch

    from ..rng import BatchNoise

    error, name = prior.error(sigma, shape, like), f"the error covariance at sigma {sigma:.3g}"
    generator = torch.Generator().manual_seed(1)
    probes = torch.randn(16, *shape, generator=generator, dtype=torch.float64).to(like)
    flat, applied = probes.flatten(1).double(), error.apply(probes).flatten(1).double()
    gram = flat @ applied.T
    require(close(gram, gram.T.contiguous(), 1e-9 if like.dtype == torch.float64 else 1e-4), f"{name} is not symmetric.")
    require(torch.linalg.eigvalsh((gram + gram.T) / 2).min() > 0, f"{name} is not positive definite.")
    drawn = error.draw(BatchNoise(2, draws), like).flatten(1).double()
    require(drawn.shape == (draws, flat.shape[1]), f"a draw of {name} has the wrong shape.")
    ratio = (drawn @ flat.T).square().mean(0) / gram.diagonal()
    allowed = 6 * math.sqrt(2 / draws)
    require((ratio - 1).abs().max() <= allowed, f"draws of {name} have {ratio.tolist()} times its variance.")
    mean = float(drawn.square().mean()) / error.mean_variance
    require(abs(mean - 1) <= 0.1 + allowed, f"mean_variance of {name} is off: the draws have {mean:.3f} times that.")
