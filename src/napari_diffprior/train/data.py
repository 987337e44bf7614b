"""Training images: read a user's folders, hold out whole sources, and cut augmented patches."""

from __future__ import annotations

import csv
import hashlib
import logging
import math
import os
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..axes import COLOURS, Layout, guess_axes
from ..io import open_image
from ..io.files import is_zarr
from ..noise.estimate import estimate_sigma

if TYPE_CHECKING:
    from torch import Tensor

Image = np.ndarray[Any, np.dtype[np.float32]]
SUFFIXES = (".tif", ".tiff", ".png", ".webp", ".jpg", ".jpeg", ".npy")
TYPICAL = 1024  # patches that tell the statistics of what is learned from
# What decoders of broken files raise besides what they promise.
UNREADABLE: tuple[type[Exception], ...] = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    struct.error,
    zlib.error,
)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingImage:
    """One normalised grey image, shape (Y, X), and the source it was cut from."""

    pixels: Image
    source: str
    path: Path

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape in pixels."""
        return tuple(self.pixels.shape)

    @property
    def collection(self) -> str:
        """First part of the source; empty if it has only one."""
        return self.source.rpartition("/")[0].split("/")[0]


def read_folder(folders: Sequence[Path], smallest: int, noise_limit: float = math.inf) -> tuple[list[TrainingImage], list[str]]:
    """Read every image below the folders.

    Parameters
    ----------
    folders : sequence of Path
        Folders, or single files; an OME-Zarr store is one image.
    smallest : int
        Shortest side in pixels that is of use; the patch size.
    noise_limit : float
        Images with more noise than this share of their range are reduced by 2, and left out if they get too small.

    Returns
    -------
    images : list of TrainingImage
        One for each plane.
    skipped : list of str
        One line for each file or plane that could not be used, with the reason.

    Raises
    ------
    ValueError
        If one of the folders does not exist.
    """
    images: list[TrainingImage] = []
    skipped: list[str] = []
    for folder in folders:
        sources = _sources(folder)
        for path in files_below(folder):
            source = sources.get(path.name, path.stem)
            try:
                for number, plane in enumerate(_planes(path)):
                    found = _usable(plane, smallest, noise_limit)
                    if isinstance(found, str):
                        skipped.append(f"{path}: {found}" if number == 0 else f"{path}: plane {number} {found}")
                    else:
                        images.append(TrainingImage(found, source, path))
            except UNREADABLE as error:
                skipped.append(f"{path}: {' '.join(str(error).split()) or type(error).__name__}")
    for line in skipped:
        log.warning("skipped %s", line)
    return images, skipped


def files_below(folder: Path) -> list[Path]:
    """Image files of a folder and its subfolders in a fixed order; a single file or store is itself."""
    if folder.is_file() or is_zarr(folder):
        return [folder]
    if not folder.is_dir():
        raise ValueError(f"there is no file or folder {folder}: check the path of the training data.")
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        stores = [name for name in folders if is_zarr(Path(place, name))]
        folders[:] = [name for name in folders if name not in stores]
        found += [Path(place, name) for name in (*stores, *files) if name in stores or name.lower().endswith(SUFFIXES)]
    return sorted(found)


def _sources(folder: Path) -> dict[str, str]:
    """Source of each file by its name, from a ``manifest.csv`` in the folder or its parent, if there is one."""
    for place in (folder, folder.parent):
        if (manifest := place / "manifest.csv").is_file():
            with manifest.open(newline="") as lines:
                return {row["file"]: f"{row['collection']}/{row['source']}" for row in csv.DictReader(lines)}
    return {}


def _planes(path: Path) -> Iterator[np.ndarray[Any, Any]]:
    """Grey planes of a file, one at a time; colours are averaged, channels are planes of their own."""
    array, calibration, _ = open_image(path)
    axes = guess_axes(array.shape) if path.suffix.lower() == ".npy" else calibration.axes
    if axes.endswith("c") and array.shape[-1] in COLOURS:
        array, axes = np.asarray(array)[..., :3].mean(-1), axes[:-1]
    layout = Layout(axes, tuple(array.shape))
    for position in layout.positions():
        yield layout.read(array, position)


def _usable(plane: np.ndarray[Any, Any], smallest: int, noise_limit: float) -> Image | str:
    """The plane stretched and with little noise, or why it is of no use."""
    if plane.dtype.kind not in "uif":
        return f"holds {plane.dtype}, not grey values"
    if min(plane.shape) < smallest:
        return f"is smaller than the patch of {smallest} pixels"
    values = plane.astype(np.float32)
    while True:
        try:
            image = normalise(values)
        except ValueError as error:
            return str(error)
        noise = estimate_sigma(image)
        if noise <= noise_limit:
            return image
        if min(values.shape) < 2 * smallest:
            return f"is too noisy: {noise:.3f} of its range, at most {noise_limit:g}"
        values = _halve(values)


def normalise(pixels: np.ndarray[Any, Any], low: float = 0.1, high: float = 99.9) -> Image:
    """Map the given percentiles of an image to [0, 1]; nothing is clipped.

    Raises
    ------
    ValueError
        If the image is constant or has pixels that are not finite.
    """
    values = np.asarray(pixels, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ValueError("has pixels that are not finite")
    bottom, top = np.percentile(values, [low, high])
    if top <= bottom:
        raise ValueError("is constant")
    mapped: Image = (values - bottom) / (top - bottom)
    return mapped


def _halve(pixels: Image) -> Image:
    """Mean of blocks of 2 x 2 pixels, which halves white noise."""
    height, width = (side // 2 for side in pixels.shape)
    halved: Image = pixels[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean((1, 3))
    return halved


def family(source: str) -> str:
    """Name of the recording that an image is from: without the numbers of page (_p3), slice (_z0003) and frame (-T00024)."""
    return re.sub(r"_p\d+$|(?<=[-_])[TZtz]\d+", "", source)


def hold_out(images: Sequence[TrainingImage], share: float) -> tuple[list[TrainingImage], list[TrainingImage]]:
    """Split by source, so that no source image is on both sides; the choice depends on the source's name alone.

    Chosen images of which other pages or frames are trained on are trained on, too.
    """

    def position(source: str) -> float:
        return int.from_bytes(hashlib.sha256(source.encode()).digest()[:6], "big") / 2**48

    kept = [image for image in images if position(image.source) >= share]
    seen = {family(image.source) for image in kept}
    held = [image for image in images if position(image.source) < share and family(image.source) not in seen]
    kept += [image for image in images if position(image.source) < share and family(image.source) in seen]
    if not kept or not held:  # too few sources to split by chance
        order = sorted({image.source for image in images}, key=position)
        kept = [image for image in images if image.source != order[0]]
        held = [image for image in images if image.source == order[0]]
    return (kept, held) if kept else _cut_off(images, share)


def _cut_off(images: Sequence[TrainingImage], share: float) -> tuple[list[TrainingImage], list[TrainingImage]]:
    """Split the images of a single source across their longer side: at least a third is held out, as patches need room."""
    kept, held = [], []
    for image in images:
        along = int(np.argmax(image.shape))
        at = round((1 - max(share, 1 / 3)) * image.shape[along])
        parts = np.split(image.pixels, [at], axis=along)
        kept.append(replace(image, pixels=parts[0]))
        held.append(replace(image, pixels=parts[1]))
    return kept, held


def _shrink(pixels: Image, factor: float, patch: int) -> Image:
    """Reduce a square crop to the patch size with antialiasing."""
    if factor == 1:
        return pixels
    import torch
    from torch.nn.functional import interpolate

    crop = torch.from_numpy(np.ascontiguousarray(pixels))[None, None]
    return interpolate(crop, (patch, patch), mode="bilinear", antialias=True, align_corners=False)[0, 0].numpy()


def cut(image: Image, patch: int, rng: np.random.Generator, augment: bool = True) -> Image:
    """Random patch in the model's range [-1, 1], randomly flipped and rotated, half of them with other scale or contrast."""
    factor = float(rng.uniform(1, 3)) if augment and rng.random() < 0.5 else 1.0
    factor = min(factor, min(image.shape) / patch)
    side = min(round(patch * factor), *image.shape)
    top, left = (int(rng.integers(0, length - side + 1)) for length in image.shape)
    crop = _shrink(image[top : top + side, left : left + side], factor, patch)
    if augment:
        crop = np.rot90(crop, int(rng.integers(4)))
        crop = crop[:, ::-1] if rng.random() < 0.5 else crop
    if augment and rng.random() < 0.5:
        gamma = np.exp(rng.normal(0, 0.15))
        crop = np.sign(crop) * np.abs(crop) ** gamma  # odd power: keeps noise around zero symmetric
        crop = crop * rng.uniform(0.7, 1.05) + rng.uniform(-0.02, 0.1)
    return np.ascontiguousarray(-1 + 2 * crop, dtype=np.float32)


def chances(images: Sequence[TrainingImage]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Chance of each image to be drawn: the square root of its pixels, and of collections the square root of theirs.

    So neither a few large images nor one large collection of similar ones rules the prior.
    """
    size = np.sqrt([image.pixels.size for image in images])
    collection = np.unique([image.collection for image in images], return_inverse=True)[1]
    size /= np.sqrt(np.bincount(collection, size)[collection])
    shares: np.ndarray[Any, np.dtype[np.float64]] = size / size.sum()
    return shares


def batch(images: Sequence[TrainingImage], patch: int, size: int, key: Sequence[int], augment: bool = True) -> Tensor:
    """Batch of patches that depends on the key alone, so that a resumed run continues as if never stopped.

    Images smaller than the patch are left out; at least one must hold it.

    Returns
    -------
    Tensor, shape (size, 1, patch, patch)
        float32, model range [-1, 1].
    """
    import torch

    rng = np.random.default_rng(list(key))
    images = [image for image in images if min(image.shape) >= patch]
    chosen = rng.choice(len(images), size, p=chances(images))
    return torch.from_numpy(np.stack([cut(images[i].pixels, patch, rng, augment) for i in chosen]))[:, None]


def statistics(patches: Tensor) -> dict[str, float]:
    """Mean and standard deviation of all pixels, as the card has them."""
    return {"mean": round(float(patches.mean()), 4), "std": round(float(patches.std()), 4)}
