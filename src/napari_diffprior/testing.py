"""Conformance checks for operators, priors and samplers, one's own included.

Each check raises ``AssertionError`` with one sentence when a contract is broken; ``check_sampler`` also measures
how far a sampler is from an exact posterior. Everything is float64 and needs no trained network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .operators.contract import Operator, adjoint, domain_of, is_linear, jacobian_transpose

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

    from .measurement import Measurement
    from .priors.contract import Denoiser
    from .rng import NoiseStream
    from .samplers.contract import Sampler


def _require(fulfilled: Any, message: str) -> None:
    if not bool(fulfilled):
        raise AssertionError(message)


def _close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Whether two tensors agree relative to the larger of them."""
    import torch

    scale = max(float(a.abs().max()), float(b.abs().max()), 1e-300)
    return a.shape == b.shape and bool(torch.isfinite(a - b).all()) and float((a - b).abs().max()) <= tolerance * scale


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
    _require(_close(measured, alone, tolerance), "apply mixes the samples of a batch.")
    _require(_close(operator.apply(x), measured, 0.0), "apply gives another result for the same images.")
    if is_linear(operator):
        _check_linear(operator, x, y, image_shape, tolerance)
    _check_grid(operator, image_shape, x, y, tolerance)


def _check_linear(operator: Operator, x: Tensor, y: Tensor, shape: tuple[int, ...], tolerance: float) -> None:
    import torch

    measured = operator.apply(x)
    mixed = operator.apply(2 * x[:1] - 3 * x[1:2])
    _require(_close(mixed, 2 * measured[:1] - 3 * measured[1:2], tolerance), "apply is not linear: set linear = False.")
    back = adjoint(operator, y, shape)
    _require(back.shape == x.shape, f"the adjoint gives {tuple(back.shape)} for images {tuple(x.shape)}.")
    left, right = (measured * y).flatten(1).sum(1), (x * back).flatten(1).sum(1)
    scale = (measured.flatten(1).norm(dim=1) * y.flatten(1).norm(dim=1)).clamp_min(1e-300)
    worst = float(((left - right).abs() / scale).max())
    _require(worst <= tolerance, f"<A x, y> and <x, A^T y> differ by {worst:.1e} of |A x| |y|: the adjoint is wrong.")
    alone = torch.cat([adjoint(operator, one[None], shape) for one in y])
    _require(_close(back, alone, tolerance), "the adjoint mixes the samples of a batch.")
    _require(_close(back, jacobian_transpose(operator, x, y), tolerance), "the adjoint differs from autograd's.")


def _check_grid(operator: Any, shape: tuple[int, ...], x: Tensor, y: Tensor, tolerance: float) -> None:
    """Check ``extract``, ``embed`` and ``response`` where they are offered."""
    import torch

    if hasattr(operator, "extract") and hasattr(operator, "embed"):
        cut, canvas = operator.extract(x), operator.embed(y)
        _require(cut.shape == y.shape, f"extract gives {tuple(cut.shape)} for measurements {tuple(y.shape)}.")
        left, right = (cut * y).sum(), (x * canvas).sum()
        scale = float(cut.norm() * y.norm())
        _require(abs(float(left - right)) <= tolerance * scale, "extract and embed are not adjoint to each other.")
        _require(_close(operator.extract(canvas), y, tolerance), "extract does not undo embed.")
    if hasattr(operator, "response"):
        half = (*shape[1:-1], shape[-1] // 2 + 1)
        response = torch.as_tensor(operator.response(shape[1:]), dtype=torch.float64)
        _require(response.numel() == 1 or response.shape[-len(half) :] == half, f"response has not the real-FFT shape {half}.")
        _require((response >= 0).all() and response.isfinite().all(), "response is negative or not finite.")


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
    _require(0 < low < prior.sigma_max < math.inf, "sigma_min and sigma_max are not a range above 0.")
    _require(prior.channels == shape[0], f"the prior has {prior.channels} channels, not {shape[0]}.")
    sigma = x.new_tensor([low * (high / low) ** share for share in (0.3, 0.6, 0.9)])
    kept = x.clone()
    with torch.no_grad():
        together = prior(x, sigma)
        alone = torch.cat([prior(x[i : i + 1], sigma[i : i + 1]) for i in range(3)])
    tolerance = 1e-9 if double else 1e-4
    _require(together.dtype == x.dtype, f"D has the type {together.dtype} for images of {x.dtype}.")
    _require(torch.equal(kept, x), "the prior writes into its input.")
    _require(_close(together, alone, tolerance), "D has another shape than x, or mixes the samples of a batch.")
    at = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(prior(at, sigma).square().sum(), at)
    _require(gradient.isfinite().all() and bool(gradient.abs().sum() > 0), "D is not differentiable in x.")
    for level in (float(sigma[0]), float(sigma[1]), math.inf):
        _check_covariance(prior, level, shape, x, draws)


def _check_covariance(prior: Denoiser, sigma: float, shape: Sequence[int], like: Tensor, draws: int) -> None:
    """Probe R = error(sigma): symmetric, positive, with draws and a mean variance that fit."""
    import torch

    from .rng import BatchNoise

    error, name = prior.error(sigma, shape, like), f"the error covariance at sigma {sigma:.3g}"
    generator = torch.Generator().manual_seed(1)
    probes = torch.randn(16, *shape, generator=generator, dtype=torch.float64).to(like)
    flat, applied = probes.flatten(1).double(), error.apply(probes).flatten(1).double()
    gram = flat @ applied.T
    _require(_close(gram, gram.T.contiguous(), 1e-9 if like.dtype == torch.float64 else 1e-4), f"{name} is not symmetric.")
    _require(torch.linalg.eigvalsh((gram + gram.T) / 2).min() > 0, f"{name} is not positive definite.")
    drawn = error.draw(BatchNoise(2, draws), like).flatten(1).double()
    _require(drawn.shape == (draws, flat.shape[1]), f"a draw of {name} has the wrong shape.")
    ratio = (drawn @ flat.T).square().mean(0) / gram.diagonal()
    allowed = 6 * math.sqrt(2 / draws)
    _require((ratio - 1).abs().max() <= allowed, f"draws of {name} have {ratio.tolist()} times its variance.")
    mean = float(drawn.square().mean()) / error.mean_variance
    _require(abs(mean - 1) <= 0.1 + allowed, f"mean_variance of {name} is off: the draws have {mean:.3f} times that.")


class _Gain:
    """A x = g x: the operator of the exact Gaussian problem."""

    def __init__(self, gain: Tensor) -> None:
        self.gain = gain

    def apply(self, x: Tensor) -> Tensor:
        return self.gain * x

    def adjoint(self, y: Tensor) -> Tensor:
        return self.gain * y


@dataclass(frozen=True)
class GaussianProblem:
    """A deconvolution in 32 Fourier coordinates whose posterior is known exactly.

    Prior variances .25 / (1 + (k / 4)^2), gains exp(-k^2 / 128), noise .1; images of shape (1, 1, 32).

    Parameters
    ----------
    prior : Denoiser
    measurement : Measurement
        One measurement or several, shape (M, 1, 1, 32).
    mean : Tensor, shape (M, 1, 1, 32)
        Exact posterior mean of each measurement.
    variance : Tensor, shape (1, 1, 32)
        Exact posterior variance.
    observed : Tensor of bool, shape (1, 1, 32)
        Coordinates of which the data say more than the prior: their posterior variance is below half of it.
    """

    prior: Denoiser
    measurement: Measurement
    mean: Tensor
    variance: Tensor
    observed: Tensor


def gaussian_problem(measurements: int = 1, seed: int = 0, double: bool = True) -> GaussianProblem:
    """Build the exact Gaussian problem, with measurements drawn from the model itself."""
    import torch

    from .measurement import Measurement
    from .noise.gaussian import Gaussian
    from .priors.analytic import GaussianPrior

    k = torch.arange(32, dtype=torch.float64).view(1, 1, 32)
    prior, gain, noise = 0.25 / (1 + (k / 4) ** 2), torch.exp(-(k**2) / 128), 0.1
    variance = 1 / (1 / prior + (gain / noise) ** 2)
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(2, measurements, 1, 1, 32, generator=generator, dtype=torch.float64)
    y = gain * prior.sqrt() * draw[0] + noise * draw[1]
    kind = torch.float64 if double else torch.float32
    measurement = Measurement(y.to(kind), _Gain(gain.to(kind)), Gaussian(sigma=noise), (1, 1, 32))
    return GaussianProblem(
        GaussianPrior(prior.to(kind)), measurement, variance * gain * y / noise**2, variance, variance < prior / 2
    )


@dataclass(frozen=True)
class SamplerReport:
    """How far a sampler's draws are from the exact posterior.

    Parameters
    ----------
    bias : float
        Root mean square error of the mean over coordinates and measurements, in posterior standard deviations,
        with the scatter of the draws taken off.
    variance_ratio : float
        Sampled over exact variance, mean over coordinates.
    observed_variance_ratio : float
        The same over the coordinates of which the data say more than the prior.
    worst_error : float
        Largest error of a mean, in its own standard errors.
    lowest_ratio, highest_ratio : float
        Extremes of the variance ratio over coordinates.
    calls : int
        Network calls.
    draws : int
    """

    bias: float
    variance_ratio: float
    observed_variance_ratio: float
    worst_error: float
    lowest_ratio: float
    highest_ratio: float
    calls: int
    draws: int

    def calibrated(self, bias: float = 0.1, variance: float = 0.1) -> bool:
        """Whether mean and variance are right within these limits, the observed coordinates' variance too."""
        ratios = (self.variance_ratio, self.observed_variance_ratio)
        return self.bias <= bias and all(abs(ratio - 1) <= variance for ratio in ratios)


def check_sampler(
    sampler: Sampler,
    draws: int = 20_000,
    *,
    measurements: int = 1,
    seed: int = 0,
    double: bool = True,
    prior: Denoiser | None = None,
) -> SamplerReport:
    """Check a sampler's manners and measure its draws on the exact Gaussian problem.

    Parameters
    ----------
    sampler : Sampler
    draws : int
        Posterior samples in all.
    measurements : int
        Measurements that the draws are shared between; several make the bias that of a typical measurement.
    seed : int
    double : bool
        False computes in float32, twice as fast.
    prior : Denoiser, optional
        Stands in for the problem's exact prior, for example with a measured error covariance.

    Raises
    ------
    AssertionError
        If the sampler yields with gradients switched off, writes again to what it yielded, miscounts its steps or
        returns values that are not finite. A biased sampler raises nothing: that is what the report is for.
    """
    import torch

    from .measurement import Measurement
    from .rng import BatchNoise

    problem = gaussian_problem(measurements, seed, double)
    denoiser, each = prior or problem.prior, draws // measurements
    check_manners(sampler, problem.measurement, denoiser, BatchNoise(seed, measurements))
    given = problem.measurement
    many = Measurement(given.y.repeat_interleave(each, 0), given.operator, given.noise, given.shape)
    state = None
    for state in sampler.run(many, denoiser, BatchNoise(seed, each * measurements)):  # noqa: B007 - the last one counts
        pass
    assert state is not None
    samples = state.x0.double().view(measurements, each, 32)
    exact, variance = problem.mean.view(measurements, 32), problem.variance.view(32)
    ratio = samples.var(1).mean(0) / variance
    squared = (samples.mean(1) - exact).square() / variance
    scatter = samples.var(1) / variance / each
    observed = ratio[problem.observed.view(32)]
    return SamplerReport(
        bias=math.sqrt(max(0.0, float((squared - scatter).mean()))),
        variance_ratio=float(ratio.mean()),
        observed_variance_ratio=float(observed.mean()),
        worst_error=float((squared / scatter.clamp_min(torch.finfo(torch.float64).tiny)).max().sqrt()),
        lowest_ratio=float(ratio.min()),
        highest_ratio=float(ratio.max()),
        calls=state.calls,
        draws=each * measurements,
    )


def check_manners(sampler: Sampler, measurement: Measurement, prior: Denoiser, noise: NoiseStream) -> None:
    """Check what every sampler owes its caller while it runs.

    Gradients are on between steps, a yielded tensor is never written again, the steps are counted up to their total,
    and every state has the images' shape and a misfit per sample.

    Raises
    ------
    AssertionError
        If it does not keep to that.
    """
    import torch

    name = type(sampler).__name__
    seen: list[tuple[Tensor, Tensor]] = []
    state = None
    for number, state in enumerate(sampler.run(measurement, prior, noise), 1):
        _require(torch.is_grad_enabled(), f"{name} yields while gradients are switched off.")
        _require(state.step == number, f"{name} numbers step {number} as {state.step}.")
        _require(state.x0.shape == (noise.count, *measurement.shape), f"{name} yields images of {tuple(state.x0.shape)}.")
        _require(state.misfit.shape == (noise.count,), f"{name} yields a misfit of shape {tuple(state.misfit.shape)}.")
        _require(not state.x0.requires_grad, f"{name} yields a tensor that holds a graph.")
        seen.append((state.x0, state.x0.clone()))
    if state is None:
        raise AssertionError(f"{name} yields nothing.")
    _require(state.step == state.total, f"{name} ends at step {state.step} of {state.total}.")
    _require(state.x0.isfinite().all(), f"{name} ends with values that are not finite.")
    _require(all(torch.equal(now, then) for now, then in seen), f"{name} writes again to a tensor that it yielded.")
