"""Training images: read, normalise, hold out, and cut augmented patches."""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".tif", ".tiff", ".png", ".webp", ".jpg", ".jpeg", ".npy")
Image = np.ndarray[Any, np.dtype[np.float32]]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingImage:
    """One normalised grey image, shape (Y, X), and the source it was cut from."""

    pixels: Image
    source: str
    path: Path


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


def _sources(folder: Path) -> dict[str, str]:
    """Source of each file by its name, from a ``manifest.csv`` in the folder or its parent, if there is one."""
    for place in (folder, folder.parent):
        if (manifest := place / "manifest.csv").is_file():
            with manifest.open(newline="") as lines:
                return {row["file"]: f"{row['collection']}/{row['source']}" for row in csv.DictReader(lines)}
    return {}


def _read(path: Path) -> Iterator[np.ndarray[Any, Any]]:
    """Grey pages of a file; RGB is averaged."""
    if path.suffix == ".npy":
        pixels = np.load(path, allow_pickle=False)
    else:
        from skimage.io import imread

        pixels = imread(path)
    if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
        pixels = pixels[..., :3].mean(-1)
    yield from pixels.reshape(-1, *pixels.shape[-2:])


def read_folder(folders: Sequence[Path], smallest: int) -> tuple[list[TrainingImage], list[str]]:
    """Read every image below the folders.

    Parameters
    ----------
    folders : sequence of Path
        Folders, or single files.
    smallest : int
        Shortest side in pixels that is of use; the patch size.

    Returns
    -------
    images : list of TrainingImage
    skipped : list of str
        One line for each file that could not be used, with the reason.
    """
    images: list[TrainingImage] = []
    skipped: list[str] = []
    for folder in folders:
        files = [folder] if folder.is_file() else sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        sources = _sources(folder)
        for path in files:
            try:
                for page in _read(path):
                    if min(page.shape) < smallest:
                        raise ValueError(f"is smaller than the patch of {smallest} pixels")
                    images.append(TrainingImage(normalise(page), sources.get(path.name, path.stem), path))
            except (OSError, ValueError) as error:
                skipped.append(f"{path}: {error}")
                log.warning("skipped %s: %s", path, error)
    return images, skipped


def hold_out(images: Sequence[TrainingImage], share: float) -> tuple[list[TrainingImage], list[TrainingImage]]:
    """Split by source, so that no source image is on both sides; the choice depends on the source's name alone."""

    def position(source: str) -> float:
        return int.from_bytes(hashlib.sha256(source.encode()).digest()[:6], "big") / 2**48

    kept = [image for image in images if position(image.source) >= share]
    held = [image for image in images if position(image.source) < share]
    if not kept or not held:  # too few sources to split by chance
        order = sorted({image.source for image in images}, key=position)
        kept = [image for image in images if image.source != order[0]]
        held = [image for image in images if image.source == order[0]]
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
    """Random patch in the model's range [-1, 1], with random scale, flip, rotation, contrast and gamma."""
    factor = float(rng.uniform(1, 2)) if augment and rng.random() < 0.4 else 1.0
    factor = min(factor, min(image.shape) / patch)
    side = min(round(patch * factor), *image.shape)
    top, left = (int(rng.integers(0, length - side + 1)) for length in image.shape)
    crop = _shrink(image[top : top + side, left : left + side], factor, patch)
    if augment:
        crop = np.rot90(crop, int(rng.integers(4)))
        crop = crop[:, ::-1] if rng.random() < 0.5 else crop
        gamma = np.exp(rng.normal(0, 0.15))
        crop = np.sign(crop) * np.abs(crop) ** gamma  # odd power: keeps noise around zero symmetric
        crop = crop * rng.uniform(0.7, 1.05) + rng.uniform(-0.02, 0.1)
    return np.ascontiguousarray(-1 + 2 * crop, dtype=np.float32)


def batch(images: Sequence[TrainingImage], patch: int, size: int, key: Sequence[int], augment: bool = True) -> Tensor:
    """Batch of patches that depends on the key alone, so that a resumed run continues as if never stopped.

    Returns
    -------
    Tensor, shape (size, 1, patch, patch)
        float32, model range [-1, 1].
    """
    import torch

    rng = np.random.default_rng(list(key))
    weights = np.sqrt([image.pixels.size for image in images])
    chosen = rng.choice(len(images), size, p=weights / weights.sum())
    return torch.from_numpy(np.stack([cut(images[i].pixels, patch, rng, augment) for i in chosen]))[:, None]
