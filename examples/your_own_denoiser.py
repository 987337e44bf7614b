"""
Bring your own denoiser
=======================

A prior is a function: the best estimate of a clean image from a noisy one at a known noise level. Anything that keeps to this
contract can be used. Here it is a Gaussian prior, whose posterior is known exactly; so the result can be checked.
"""

import numpy as np
import torch

from napari_diffprior import restore
from napari_diffprior.priors.analytic import GaussianPrior

# %%
# Images of independent pixels, measured with half as much noise.

rng = np.random.default_rng(0)
truth = rng.normal(0, 1, (64, 64))
image = truth + 0.5 * rng.standard_normal(truth.shape)

# %%
# Inside, images live in [-1, 1]. In these units the pixels of this image have a variance of about 0.1.

prior = GaussianPrior(torch.full((1, 64, 64), 0.1))
result = restore(image, noise=0.5, samples=16, prior=prior)

# %%
# If all is right, the standard deviation between the samples is as large as the error of a sample-free estimate, here the
# mean. ``check_prior`` in ``napari_diffprior.testing`` checks a denoiser of your own: :doc:`/how-to/add-a-prior`.

print(f"std {result.std.mean():.3f}, error of the mean {np.sqrt(np.mean((result.mean - truth) ** 2)):.3f}")
