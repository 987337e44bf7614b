"""Use any denoiser as the prior: here a Gaussian one, whose posterior is known exactly."""

import numpy as np
import torch

from napari_diffprior import restore
from napari_diffprior.priors.analytic import GaussianPrior

rng = np.random.default_rng(0)
truth = rng.normal(0, 1, (64, 64))
image = truth + 0.5 * rng.standard_normal(truth.shape)
result = restore(image, noise=0.5, samples=16, prior=GaussianPrior(torch.full((1, 64, 64), 0.1)))
print(f"std {result.std.mean():.3f}; error of the mean {np.sqrt(np.mean((result.mean - truth) ** 2)):.3f}")
