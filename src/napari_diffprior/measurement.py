"""The measurement: data, operator and noise, in the prior's units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from .brightness import follow_brightness
from .conjugate_gradients import conjugate_gradients
from .device import few_threads
from .operators.contract import Operator, adjoint, extract, fixed_signs, is_linear, mean_gain, offers, reach_of
from .texture import follow_texture

if TYPE_CHECKING:
    from torch import Tensor

    from .noise.contract import NoiseModel
    from .priors.contract import Covariance, Denoiser
    from .priors.modes import Modes
    from .rng import NoiseStream

LARGEST_FACTOR = 100.0  # of an image's own error over that of held-out ones, as a variance
SPREAD = 5.0  # of that factor among images, as a standard deviation
CLUMPED = 10.0  # pixels that share one error, up to which its size may change from place to place
LONGEST_GAP = 3.0  # pixels from a measured one, up to which a data step is solved in modes; see docs/decisions/0009


@dataclass(frozen=True)
class Measurement:
    """y = A x + noise, in the model's units; all that a sampler knows of the data.

    Parameters
    ----------
    y : Tensor, shape (1, C, ...)
        The measured values, or (B, ...) for a batch of different measurements.
    operator : Operator
    noise : NoiseModel
    shape : tuple of int
        (C, H, W) of the images that the operator takes.
    estimate : Tensor, shape (1, C, ...), optional
        What the image is like as far as the data say without a prior; a sampler may begin from it.
    """

    y: Tensor
    operator: Operator
    noise: NoiseModel
    shape: tuple[int, ...]
    estimate: Tensor | None = None

    @property
    def count(self) -> int:
        """Number m of measured values in one sample."""
        return self.y[0].numel()

    @property
    def sigma(self) -> float:
        """Noise standard deviation; the root mean variance where it differs between pixels."""
        precision = self.noise.precision(self.y)
        if isinstance(precision, float):
            return float(precision**-0.5)
        return float((1 / precision[precision > 0]).mean().sqrt())

    @property
    def gain(self) -> float:
        """Mean eigenvalue of A A^T."""
        return mean_gain(self.operator, self.shape, self.y)

    def residual(self, x: Tensor) -> Tensor:
        """Measured minus expected, y - A x; zero where a measurement is a bound that x keeps."""
        mean = self.operator.apply(x)
        weights = self.noise.precision(mean)
        return (self.y - mean) * (1.0 if isinstance(weights, float) else weights > 0)

    def nll(self, x: Tensor) -> Tensor:
        """Negative log-likelihood of each image, shape (B,)."""
        mean = self.operator.apply(x)
        return self.noise.nll(mean, self.y.expand_as(mean))

    def misfit(self, x: Tensor) -> Tensor:
        """Chi-square over m for each image, shape (B,): 1 means as far from the data as the noise.

        Of the m measurements, bounds that are kept do not count.
        """
        mean = self.operator.apply(x)
        weights = self.noise.precision(mean)
        return self._energy(mean, weights).flatten(1).mean(1) / self._share(weights)

    def _energy(self, mean: Tensor, weights: float | Tensor) -> Tensor:
        """Weighted squares of the residual: 1 on average where the mean is right."""
        return (self.y - mean).square() * weights

    def _share(self, weights: float | Tensor) -> Tensor | float:
        """Share of the measurements that have a weight; a bound that is kept has none."""
        return 1.0 if isinstance(weights, float) else (weights > 0).flatten(1).to(weights).mean(1).clamp_min(1 / self.count)

    def adjoint(self, y: Tensor) -> Tensor:
        """A^T y."""
        return adjoint(self.operator, y, self.shape)

    def visible(self, x: Tensor) -> Tensor:
        """A^T-free view of an image where the measurement lies: crops an unknown border."""
        return extract(self.operator, x)

    def spread(self, u: Tensor, error: Covariance) -> Tensor:
        """A R A^T u: what the error R of an image is worth in the measurement."""
        whole = error.gram(u, self.operator) if hasattr(error, "gram") else None
        return self.operator.apply(error.apply(self.adjoint(u))) if whole is None else whole

    def sharpness(self, prior: Denoiser) -> float:
        """Share of the fine detail that the operator passes: 1 if pixels are measured as they are, near 0 after a wide blur.

        Fine detail is what the prior would not be sure of if the pixels themselves were measured with this noise: the
        error R of its denoiser. An operator passes tr(A R A^T) / tr(R) of it, and |A 1|^2 / |1|^2 of a flat image: their
        ratio is the sharpness. Gaps pass as much of the one as of the other. 0 if A is not linear or sees no flat image.
        """
        if not is_linear(self.operator):
            return 0.0
        error = prior.error(self.sigma, self.shape, self.y)
        image = self.y.new_ones(1, *self.shape)
        flat = float(self.operator.apply(image).square().sum())
        passed = float(self._diagonal(1.0, error, self.y).sum()) / (error.mean_variance * image.numel())
        return min(1.0, max(0.0, passed * image.numel() / flat)) if flat > 0 else 0.0

    def own_error(self, mean: Tensor, error: Covariance) -> Covariance:
        """Error covariance of these very images: R, times what their residuals say that held-out images did not.

        With weights W = V^-1, E (y - A D)^T W (y - A D) = k tr(W A R A^T) + m; each sample's factor k is taken from
        its own residual, and never below 1. The noise alone has sqrt(2 m) of it by chance; where little of R reaches the
        data, after a blur in the last steps, that is worth more than any image's k. So k is the mean of what the residual
        says and of 1, each weighted by its inverse variance, as if the k of images spread by 5. The trace is known where A
        is a filter with gaps, elsewhere it is one Hutchinson estimate with fixed signs. Where it is known, k changes with
        the spatial frequency and with the brightness of the pixel as well: there is more to be wrong about where there is more to
        see. In a volume it is above 1 only where the data would see it. A covariance that is exact, or that cannot be scaled,
        stays as it is.

        Parameters
        ----------
        mean : Tensor, shape (B, C, H, W)
            Denoised images D.
        error : Covariance
            R, as measured on held-out images.
        """
        if not hasattr(error, "scaled") or not is_linear(self.operator):
            return error
        measured: Any = error
        with few_threads(mean):
            expected = self.operator.apply(mean)
            weights = self.noise.precision(expected)
            share = self._share(weights)
            seen = self._diagonal(weights, error, expected)
            trace = seen.flatten(1).mean(1) / share
            energy = self._energy(expected, weights)
            excess = ((energy.flatten(1).mean(1) / share - 1) / trace - 1).clamp(0.0, LARGEST_FACTOR - 1)
            chance = 2 / (self.count * share) / trace**2  # variance of the excess
            factor = 1 + excess / (1 + chance / SPREAD**2)
            if not offers(self.operator, "transfer", "embed"):
                return cast("Covariance", measured.scaled(factor))
            fine = measured.clumps <= CLUMPED
            if fine:
                factor = follow_texture(self.y - expected, weights, self.operator, measured, factor)
            own = measured.scaled(factor)
            if hasattr(own, "in_sight"):  # a volume
                own = own.in_sight(measured, self.operator, self.sigma**2)
            elif fine:
                own = own.in_places(follow_brightness(mean, expected, energy, self._diagonal(weights, own, expected)))
            return cast("Covariance", own)

    def _diagonal(self, weights: float | Tensor, error: Any, like: Tensor) -> Tensor:
        """Diagonal of W^1/2 A R A^T W^1/2, or a Hutchinson estimate of it with fixed signs."""
        variance = error.measured_variance(self.operator) if hasattr(error, "measured_variance") else None
        if variance is not None:
            everywhere: Tensor = variance.view(-1, *[1] * (like.ndim - 1)) + like.new_zeros(like.shape)
            return everywhere * weights
        signed = fixed_signs(like) * weights**0.5
        return signed * self.spread(signed, error)

    def condition(
        self,
        mean: Tensor,
        error: Covariance,
        noise: NoiseStream | None = None,
        tolerance: float = 1e-3,
        iterations: int = 50,
    ) -> Tensor:
        """Draw from N(mean, R) given y, by perturbing and solving in measurement space.

        With D' ~ N(mean, R) and y' ~ N(y, V), x = D' + R A^T (A R A^T + V)^-1 (y' - A D') is an exact draw
        (Papandreou & Yuille 2010; Matheron's rule). The system is solved by preconditioned conjugate gradients.
        Where the noise depends on the image, V is that of the most likely image, which Newton steps with weights
        1 / V frozen in each (Fisher scoring) find first; the draw is then Gaussian around it.

        Parameters
        ----------
        mean : Tensor, shape (B, C, H, W)
        error : Covariance
            R.
        noise : NoiseStream, optional
            None gives the conditional mean instead of a draw.
        tolerance : float
            Of the solver, see ``conjugate_gradients``.
        iterations : int
            Most iterations.
        """
        with few_threads(mean):
            modes = error.whitened(self.operator) if hasattr(error, "whitened") else None
            if modes is not None and reach_of(self.operator) <= LONGEST_GAP:
                return self._condition_modes(mean, modes, noise, tolerance, iterations)
            weights = self.noise.precision(self.operator.apply(mean))
            for _ in range(getattr(self.noise, "newton", 0)):
                centre = mean + error.apply(self._pull(mean, error, weights, None, tolerance, iterations))
                weights = self.noise.precision(self.operator.apply(centre))
            drawn = mean if noise is None else mean + error.draw(noise, mean)
            return drawn + error.apply(self._pull(drawn, error, weights, noise, tolerance, iterations))

    def _condition_modes(
        self, mean: Tensor, modes: Modes, noise: NoiseStream | None, tolerance: float, iterations: int
    ) -> Tensor:
        """The same in coordinates z in which the error is white: x = mean + S z, with S S^T = R.

        The conjugate gradients then lower ||W^1/2 (y - A x)||^2 + |z|^2 at each iteration, wherever they end.
        """
        expected = self.operator.apply(mean)
        weights = self.noise.precision(expected)
        for _ in range(getattr(self.noise, "newton", 0)):
            centre = self._solve_modes(expected, modes, weights, None, tolerance, iterations)
            weights = self.noise.precision(expected + modes.data(centre))
        if noise is None:
            return mean + modes.image(self._solve_modes(expected, modes, weights, None, tolerance, iterations))
        white = modes.white(noise.normal((modes.shape[0], *modes.grid), mean))
        found = self._solve_modes(expected + modes.data(white), modes, weights, noise, tolerance, iterations)
        return mean + modes.image(white + found)

    def _solve_modes(
        self,
        expected: Tensor,
        modes: Modes,
        weights: float | Tensor,
        noise: NoiseStream | None,
        tolerance: float,
        iterations: int,
    ) -> Tensor:
        """(S^T A^T W A S + 1)^-1 S^T A^T W^1/2 (W^1/2 (y - expected) - e), for frozen weights W."""
        root = weights**0.5
        right = root * (self.y - expected)
        if noise is not None:
            right = right + noise.normal(right.shape[1:], right)
        return conjugate_gradients(
            modes.normal(weights, right),
            modes.adjoint(root * right),
            modes.preconditioner(self.sigma**-2),
            tolerance,
            iterations,
            right.square().flatten(1).sum(1),
        )

    def pull(self, mean: Tensor, error: Covariance, tolerance: float = 1e-3, iterations: int = 50) -> Tensor:
        """A^T (A R A^T + V)^-1 (y - A mean): the score of the data at an estimate with error covariance R.

        Parameters
        ----------
        mean : Tensor, shape (B, C, H, W)
        error : Covariance
            R.
        tolerance, iterations
            As in ``condition``.
        """
        return self._pull(mean, error, self.noise.precision(self.operator.apply(mean)), None, tolerance, iterations)

    def _pull(
        self,
        mean: Tensor,
        error: Covariance,
        weights: float | Tensor,
        noise: NoiseStream | None,
        tolerance: float,
        iterations: int,
    ) -> Tensor:
        """A^T W^1/2 u with (W^1/2 A R A^T W^1/2 + 1) u = W^1/2 (y - A mean) - e, for frozen weights W.

        In units of the noise e, no weight is too small: a measurement that says nothing has none.
        """
        root = weights**0.5
        right = root * (self.y - self.operator.apply(mean))
        if noise is not None:
            right = right + noise.normal(right.shape[1:], right)
        return self.adjoint(root * self.solve(right, error, root, tolerance, iterations))

    def solve(self, right: Tensor, error: Covariance, root: float | Tensor, tolerance: float, iterations: int) -> Tensor:
        """(W^1/2 A R A^T W^1/2 + 1)^-1 b by preconditioned conjugate gradients.

        Parameters
        ----------
        right : Tensor, shape (B, ...) of a measurement
            b.
        error : Covariance
            R.
        root : float or Tensor
            W^1/2.
        tolerance, iterations
            As in ``condition``.
        """
        level = self.sigma**2

        def system(u: Tensor) -> Tensor:
            return root * self.spread(root * u, error) + u

        def preconditioner(r: Tensor) -> Tensor:
            solved = error.solve(r, self.operator, level)
            return r if solved is None else level * solved

        with few_threads(right):
            return conjugate_gradients(system, right, preconditioner, tolerance, iterations)
