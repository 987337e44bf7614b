"""
Large stacks with dask and zarr
===============================

A stack that does not fit into memory is restored plane by plane into an OME-Zarr: one plane is read, restored and written.
A run that ended early can go on, and a dask cluster can share the planes.
"""

import tempfile
from pathlib import Path

import dask.array as da
import numpy as np

from napari_diffprior import restore_to_zarr
from napari_diffprior.io import Calibration, open_image
from napari_diffprior.samples import bpae

# %%
# Any array of dask or zarr will do. Here it is a small time series of two planes. ``open_image("series.ome.zarr")`` opens a
# file in the same way without reading its pixels.

rng = np.random.default_rng(0)
plane = bpae()[2][64:160, 64:160]
noise = 0.05 * np.ptp(plane)
planes = [plane + noise * rng.standard_normal(plane.shape) for _ in range(2)]
stack = da.stack([da.from_array(each.astype(np.float32)) for each in planes])
print(stack)

# %%
# ``axes`` says what the axes are; y and x are restored together, all others one by one. The calibration goes into the
# OME-Zarr. ``region={"t": (0, 1)}`` would restore a part, and ``scheduler="tcp://..."`` would send the planes to a dask
# scheduler (extra ``distributed``).

folder = Path(tempfile.mkdtemp())
place = Calibration(scale=(30.0, 0.1, 0.1), units=("s", "um", "um"), axes="tyx")
story = restore_to_zarr(
    stack,
    folder / "restored.ome.zarr",
    std=folder / "std.ome.zarr",
    axes="tyx",
    noise=float(noise),
    samples=2,
    steps=10,
    calibration=place,
)

# %%
# The file opens lazily, with its scale and its recipe. The same seed gives the same pixels, in whatever order the planes were
# restored.

restored, calibration, metadata = open_image(folder / "restored.ome.zarr")
print(restored.shape, calibration.scale, calibration.units)
print("misfit of each plane:", [np.round(np.mean(each["misfit"]), 2).item() for each in story["planes"]])

# %%
# On the command line the same is
#
# .. code-block:: console
#
#     diffprior restore series.ome.zarr -o restored.ome.zarr --std std.ome.zarr --noise 25
#
# Run it again after an interruption: planes that were written are kept.
