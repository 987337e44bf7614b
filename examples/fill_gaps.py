"""
Fill gaps
=========

A scratch, a dead pixel or a painted region is a gap: nothing was measured there. The prior proposes what may have been,
several times. This page fills gaps from a script and looks at how sure the result is.
"""

import matplotlib.pyplot as plt
import numpy as np

from napari_diffprior import restore
from napari_diffprior.metrics import psnr
from napari_diffprior.samples import bpae

# %%
# The sample of the package is a fluorescence image of actin with scratches, dead pixels and a little noise. In the mask,
# every pixel that is not zero is missing. The reference is the image before the damage; you will not have one.

part = np.s_[64:192, 64:192]
image, mask, reference = (array[part] for array in bpae())

# %%
# One call restores it. The noise is estimated from the image. Four samples are drawn: four images that agree with the
# measured pixels and look like micrographs.

result = restore(image, mask, samples=4, seed=0)

# %%
# The **mean** of the samples is the restoration. The **std** layer is large where the samples disagree: look there before
# you believe a detail.

limits = {"vmin": reference.min(), "vmax": np.percentile(reference, 99.8)}
panels = {"measurement": image, "mean": result.mean, "one sample": result.samples[0], "reference": reference}
figure, axes = plt.subplots(1, 5, figsize=(12, 2.8), layout="constrained")
for panel, (title, pixels) in zip(axes, panels.items(), strict=False):
    panel.imshow(pixels, cmap="gray", **limits)
    panel.set_title(title)
axes[-1].imshow(result.std, cmap="magma")
axes[-1].set_title("std")
for panel in axes:
    panel.axis("off")

# %%
# Numbers that say whether it went well. The misfit should be near 1: then the result is as far from the data as the noise.

gaps = mask > 0
print(f"PSNR {psnr(image, reference):.1f} dB before, {psnr(result.mean, reference):.1f} dB after")
print(f"misfit {np.mean(result.misfit):.2f}")
print(f"mean std in the gaps {result.std[gaps].mean():.0f}, elsewhere {result.std[~gaps].mean():.0f}")
print("std calibrated:", "yes" if result.calibrated else f"no, {result.reason}")
