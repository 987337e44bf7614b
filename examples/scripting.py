"""
Scripts: progress, recipes, files
=================================

Everything that the widgets do can be done from Python: watch a run, save its settings, write the result with its recipe, and
make the same pixels again.
"""

import tempfile
from pathlib import Path

import numpy as np

from napari_diffprior import Recipe, restore, restore_iter
from napari_diffprior.io import Calibration, read_image, write_image
from napari_diffprior.recipe_file import read_recipe, write_recipe
from napari_diffprior.samples import bpae

part = np.s_[96:160, 96:160]
image, mask, reference = (array[part] for array in bpae())

# %%
# A **recipe** is everything that decides the pixels, but for the input: sampler, prior, noise, seed and so on. A wrong name or
# value is refused at once, in one sentence.

recipe = Recipe(sampler="decoupled", options={"steps": 10}, samples=2, seed=3)
try:
    restore(image, mask, sampler="decopled")
except ValueError as error:
    print(error)

# %%
# ``restore_iter`` is a generator: it yields after every step, and its return value is the result. ``update.preview()`` is the
# estimate so far. To stop early, close the generator, or give a function ``cancelled`` that is asked at every step.

run = restore_iter(image, mask, recipe=recipe)
while True:
    try:
        update = next(run)
    except StopIteration as end:
        result = end.value
        break
    if update.step % 5 == 0:
        print(f"step {update.step} of {update.total}, misfit {update.misfit:.2f}, preview {update.preview().shape}")

# %%
# Write it. Pixel size, units and axes belong to the file, and so does the recipe.

folder = Path(tempfile.mkdtemp())
place = Calibration(scale=(0.1, 0.1), units=("um", "um"), axes="yx")
write_image(folder / "restored.tif", result.mean, place, {"napari-diffprior": result.provenance})
again, calibration, metadata = read_image(folder / "restored.tif")
print(calibration)
print(sorted(metadata["napari-diffprior"]))

# %%
# Settings also go into a file of their own, which the widgets (*Settings > Load...*) and ``diffprior folder --settings`` read.
# ``read_recipe`` also takes a result that carries its recipe.

write_recipe(folder / "settings.yaml", recipe)
print(read_recipe(folder / "settings.yaml") == recipe, read_recipe(folder / "restored.tif") == recipe)
print((folder / "settings.yaml").read_text())
