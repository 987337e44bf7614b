"""
Train on your own images
========================

A prior restores well what it has seen. If your images are of another kind, train one. On a real data set this takes an hour or
more, and one command or the widget *Train prior* is enough. Here it runs for a few steps only, to show what goes in and comes
out: the prior that it makes is **not** of any use.
"""

import tempfile
from pathlib import Path

import numpy as np

from napari_diffprior import load_prior, restore
from napari_diffprior.samples import synthetic
from napari_diffprior.train.command import train_prior
from napari_diffprior.train.loop import TrainSettings

# %%
# Clean images of the kind that is to be restored, in a folder. For a prior from nothing at least 500 patches are wanted, for
# one that is fine-tuned at least 50. Here: turned copies of one drawn image.

folder = Path(tempfile.mkdtemp())
(folder / "clean").mkdir()
for number in range(4):
    np.save(folder / "clean" / f"cells {number}.npy", np.rot90(synthetic()[2], number))

# %%
# On the command line::
#
#     diffprior train clean/ -o my_prior --from microscopy --minutes 60 --licence CC-BY-4.0
#
# and the same from Python. ``calibration=0`` leaves the coverage factor out, because it takes minutes; keep it otherwise.

settings = TrainSettings(
    from_prior="microscopy", learning_rate=1e-4, steps=4, patches=(32,), pixels=8192, held_out=0.25, calibration=0
)
events = []
train_prior([folder / "clean"], folder / "my_prior", settings, "made up", events.append)
for event in events:
    print(event["event"], {key: event[key] for key in ("images", "held_out", "step") if key in event})

# %%
# What comes out is a folder in the layout of diffusers, with a card that says what it was trained on.

print(sorted(path.relative_to(folder / "my_prior").as_posix() for path in (folder / "my_prior").rglob("*") if path.is_file()))
prior = load_prior(folder / "my_prior")
print(f"noise levels {prior.sigma_min:.3g} to {prior.sigma_max:.3g}, patch {prior.patch}")

# %%
# Use it by its folder. Then look at ``diffprior check prior my_prior --samples 64`` and, on other clean images, at
# ``diffprior bench prior my_prior --data other_clean_images/``: :doc:`/how-to/train-a-prior`.

image = synthetic()[0][:64, :64]
result = restore(image, prior=folder / "my_prior", samples=2, steps=5)
print(result.provenance["prior"]["sha256"][:12], "std calibrated:", result.calibrated)
