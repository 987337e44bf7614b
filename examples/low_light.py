"""
Low light: photon and read noise
================================

With few photons the noise is not the same everywhere: bright pixels are noisier than dark ones, and the camera adds its read
noise. ``noise="poisson-gaussian"`` takes both into account.
"""

import matplotlib.pyplot as plt
import numpy as np

from napari_diffprior import restore
from napari_diffprior.metrics import psnr
from napari_diffprior.samples import bpae

# %%
# A simulated camera: 60 photo-electrons at the brightest pixel, 2 grey levels for each, a dark level of 100 grey levels and
# a read noise of 3.

gain, offset, read_noise = 2.0, 100.0, 3.0
rng = np.random.default_rng(0)
truth = bpae()[2][64:192, 64:192]
photons = 60 * (truth - truth.min()) / np.ptp(truth)
reference = offset + gain * photons
image = offset + gain * rng.poisson(photons) + read_noise * rng.standard_normal(photons.shape)

# %%
# Give what you know of the camera; a data sheet or a calibration has it. What you do not give is estimated from the image
# itself, from how its noise grows with its brightness. That works better on larger images than on this crop.

known = restore(image, noise="poisson-gaussian", gain=gain, offset=offset, read_noise=read_noise, samples=4, seed=0)
estimated = restore(image, noise="poisson-gaussian", samples=4, seed=0)
one_level = restore(image, noise="auto", samples=4, seed=0)

panels = {"measurement": image, "camera known": known.mean, "one noise level": one_level.mean, "reference": reference}
figure, axes = plt.subplots(1, 5, figsize=(12, 2.8), layout="constrained")
for panel, (title, pixels) in zip(axes, panels.items(), strict=False):
    panel.imshow(pixels, cmap="gray", vmin=reference.min(), vmax=np.percentile(reference, 99.8))
    panel.set_title(title)
axes[4].imshow(known.std, cmap="magma")
axes[4].set_title("std, camera known")
for panel in axes:
    panel.axis("off")

# %%
# The PSNR of the two may be close, as bright parts decide it. What differs is how sure they are where it is dark: with one
# noise level for all pixels the dark parts count as noisier than they are, and the bright ones as less noisy.

dark, bright = (reference < np.quantile(reference, 0.3)), (reference > np.quantile(reference, 0.9))
for name, result in (("camera known", known), ("camera estimated", estimated), ("one noise level", one_level)):
    print(f"{name}: PSNR {psnr(result.mean, reference):.1f} dB, misfit {np.mean(result.misfit):.2f}")
    print(f"    std in dark parts {result.std[dark].mean():.1f}, in bright parts {result.std[bright].mean():.1f}")
    print(f"    {result.provenance['noise_model']}")
