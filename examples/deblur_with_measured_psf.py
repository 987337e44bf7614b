"""
Deblur with a measured PSF
==========================

A microscope blurs every point into its point spread function (PSF). With an image of small beads, the PSF can be measured.
Here the microscope is simulated, so that the result can be compared with the truth.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import convolve

from napari_diffprior import restore
from napari_diffprior.metrics import psnr
from napari_diffprior.psf import gaussian_psf
from napari_diffprior.psf.beads import psf_from_beads
from napari_diffprior.samples import bpae

# %%
# The simulated microscope: a blur that is wider along x than along y, and noise.

rng = np.random.default_rng(0)
true_psf = gaussian_psf((1.2, 2.2))
margin = 12  # what lies around the image is blurred into it
around = bpae()[2][60 - margin : 200 + margin, 60 - margin : 200 + margin]
reference = around[margin:-margin, margin:-margin]
noise = 0.01 * np.ptp(reference)
image = convolve(around, true_psf)[margin:-margin, margin:-margin] + noise * rng.standard_normal(reference.shape)

beads = np.zeros((160, 160))
beads[20:150:32, 20:150:32] = 1e5
beads = convolve(beads, true_psf) + 100 + 20 * rng.standard_normal(beads.shape)

# %%
# The PSF is the average of the beads that stand alone, each moved to a common centre. ``done`` says what was done to it.
# A file does as well: ``prepare(read_image("psf.tif")[0])`` subtracts the background, centres and normalises.

psf = psf_from_beads(beads, size=(19, 19))
for sentence in psf.done:
    print(sentence)

# %%
# Restore with it. What lies beyond the border of the image is unknown, and treated so: nothing wraps around.

result = restore(image, psf=psf, noise=noise, samples=4, seed=0)

limits = {"vmin": reference.min(), "vmax": np.percentile(reference, 99.8)}
figure, axes = plt.subplots(1, 5, figsize=(12, 2.8), layout="constrained")
for panel, title, pixels in zip(axes[1:4], ("measurement", "mean", "reference"), (image, result.mean, reference), strict=True):
    panel.imshow(pixels, cmap="gray", **limits)
    panel.set_title(title)
axes[0].imshow(psf.values, cmap="gray")
axes[0].set_title("measured PSF")
axes[4].imshow(result.std, cmap="magma")
axes[4].set_title("std")
for panel in axes:
    panel.axis("off")

# %%
# A wrong PSF is not seen by the standard deviation. Look at the misfit, and restore with a PSF that is a little narrower
# and a little wider to see which details stay.

print(f"PSNR {psnr(image, reference):.1f} dB before, {psnr(result.mean, reference):.1f} dB after")
print(f"misfit {np.mean(result.misfit):.2f}")
