"""The link between a scheduler's timesteps and the noise level sigma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SigmaTable:
    """Noise level of every timestep of a variance-preserving schedule.

    In the variance-exploding variable x = x_t / sqrt(abar_t) the noise of timestep t has the standard
    deviation sigma_t = sqrt((1 - abar_t) / abar_t) (Karras et al. 2022, appendix C.3.1).

    Parameters
    ----------
    log_sigmas : ndarray, shape (T,)
        Natural logarithm of sigma at the timesteps 0 ... T-1, increasing.
    """

    log_sigmas: np.ndarray[Any, np.dtype[np.float64]]

    @classmethod
    def from_scheduler(cls, scheduler: Any) -> SigmaTable:
        """Table of a diffusers scheduler, from its cumulative products of alpha."""
        abar = np.asarray(scheduler.alphas_cumprod.double().cpu())
        return cls(0.5 * (np.log1p(-abar) - np.log(abar)))

    @property
    def sigma_min(self) -> float:
        """Lowest trained noise level."""
        return float(np.exp(self.log_sigmas[0]))

    @property
    def sigma_max(self) -> float:
        """Highest trained noise level."""
        return float(np.exp(self.log_sigmas[-1]))

    def sigma(self, timestep: float) -> float:
        """Noise level at a timestep, which may lie between two entries."""
        return float(np.exp(np.interp(timestep, np.arange(len(self.log_sigmas)), self.log_sigmas)))

    def timestep(self, sigma: Tensor) -> Tensor:
        """Timesteps of noise levels, linear in log sigma between the entries.

        The nearest entry instead would cost up to 17 % of the denoiser at high sigma.

        Parameters
        ----------
        sigma : Tensor, shape (B,)

        Returns
        -------
        Tensor, shape (B,)
            Floating point, within [0, T-1].
        """
        import torch

        table = torch.as_tensor(self.log_sigmas, dtype=torch.float64, device=sigma.device)
        wanted = sigma.double().log().clamp(table[0], table[-1])
        above = torch.searchsorted(table, wanted).clamp(1, len(table) - 1)
        low, high = table[above - 1], table[above]
        return (above - 1 + (wanted - low) / (high - low)).to(sigma.dtype)
