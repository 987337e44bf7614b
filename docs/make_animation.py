"""Make the animated picture of a restoration: ``python docs/make_animation.py``.

The sample of the package is restored with the defaults. At the left stands the measurement with its gaps in orange; at the right
one sample takes shape step by step, then come all samples, their mean, and their standard deviation.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont

from napari_diffprior import Recipe, restore_iter
from napari_diffprior.samples import bpae

PATH = Path(__file__).parent / "images" / "animation.gif"
RECIPE = Recipe(samples=4, batch=1)  # one sample after the other: the same pixels as together
GREYS, MARGIN, TITLE = 112, 4, 22
STEP_MS, SAMPLE_MS, REST_MS = 140, 600, 2600
ORANGE = (255, 140, 26)


def grey(pixels: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Pixels as RGB, between the limits."""
    share = np.clip((pixels - limits[0]) / (limits[1] - limits[0]), 0, 1)
    return np.repeat(np.rint(255 * np.rint(share * (GREYS - 1)) / (GREYS - 1)).astype(np.uint8)[..., None], 3, axis=-1)


def magma(pixels: np.ndarray) -> np.ndarray:
    """Pixels as RGB, from 0 to nearly their largest."""
    share = np.clip(pixels / np.percentile(pixels, 99.8), 0, 1)
    return np.rint(255 * colormaps["magma"](np.rint(share * 127) / 127)[..., :3]).astype(np.uint8)


def palette() -> Image.Image:
    """All colours that occur, so that every frame has the same ones."""
    greys = np.rint(np.linspace(0, 255, GREYS)).astype(np.uint8)[:, None].repeat(3, axis=1)
    fires = np.rint(255 * colormaps["magma"](np.linspace(0, 1, 128))[:, :3]).astype(np.uint8)
    colours = np.concatenate([greys, fires, [ORANGE]]).astype(np.uint8)
    made = Image.new("P", (1, 1))
    made.putpalette([*colours.ravel().tolist(), *colours[-1].tolist() * (256 - len(colours))])
    return made


def frame(left: np.ndarray, right: np.ndarray, title: str) -> Image.Image:
    """Two panels side by side, each under its title."""
    height, width = left.shape[:2]
    canvas = Image.new("RGB", (2 * width + 3 * MARGIN, height + TITLE + MARGIN))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    draw.fontmode = "1"  # no half tones, which would cost colours
    for x, panel, text in ((MARGIN, left, "measurement, gaps in orange"), (width + 2 * MARGIN, right, title)):
        canvas.paste(Image.fromarray(panel), (x, TITLE))
        draw.text((x + 1, 3), text, fill="white", font=font)
    return canvas


def scenes() -> Iterator[tuple[np.ndarray, np.ndarray, str, int]]:
    """Left and right panel, title, and how long they are shown, in milliseconds."""
    image, mask, reference = bpae()
    limits = (float(reference.min()), float(np.percentile(reference, 99.8)))
    left = grey(image, limits)
    left[mask > 0] = ORANGE
    run = restore_iter(image, mask, recipe=RECIPE)
    steps = RECIPE.make_sampler().steps
    while True:
        try:
            update = next(run)
        except StopIteration as end:
            result = end.value
            break
        if update.step <= steps:
            yield left, grey(update.preview(), limits), f"sample 1, step {update.step} of {steps}", STEP_MS
    for number, sample in enumerate(result.samples, 1):
        yield left, grey(sample, limits), f"sample {number} of {RECIPE.samples}", SAMPLE_MS
    yield left, grey(result.mean, limits), "mean of the samples: the restoration", REST_MS
    yield left, magma(result.std), "std: where the samples disagree", REST_MS


def main() -> None:
    """Write the animation."""
    shown = list(scenes())
    frames = [frame(*scene[:3]).quantize(palette=palette(), dither=Image.Dither.NONE) for scene in shown]
    times = [scene[3] for scene in shown]
    frames[0].save(PATH, save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=False)
    sys.stdout.write(f"{PATH} {PATH.stat().st_size // 1000} kB, {len(frames)} frames\n")


if __name__ == "__main__":
    main()
