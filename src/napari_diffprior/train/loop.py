"""The training loop: velocity prediction on a DDPM table with sigma drawn continuously."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from ..params import Ui, params
from .data import TrainingImage

if TYPE_CHECKING:
    from torch import Tensor

    from ..priors.sigma import SigmaTable

SIZES = {"s": ((32, 64, 96, 128), 1), "m": ((64, 96, 128, 192), 2)}
FINE_TUNING_RATE = 1e-4
Event = dict[str, Any]


@params
class TrainSettings:
    """What a training run needs to know; written into the prior's card."""

    size: Annotated[Literal["s", "m"], Ui("Size", "s: about 3 million parameters, for a CPU; m: 12 million, for a GPU")] = "s"
    patches: Annotated[tuple[int, ...], Ui("Patches", "patch sides in pixels, in turns; the last is the prior's")] = (
        64,
        256,
        128,
    )
    pixels: Annotated[int, Ge(4096), Ui("Batch", "pixels in one training step")] = 65536
    minutes: Annotated[float, Gt(0), Ui("Minutes", "training time; the learning rate ends with it")] = 60.0
    steps: Annotated[Annotated[int, Ge(1)] | None, Ui("Steps", "most training steps; empty: as many as the time allows")] = None
    from_prior: Annotated[str | None, Ui("Fine-tune", "prior whose weights the training starts from; empty: from nothing")] = None
    learning_rate: Annotated[float, Gt(0), Le(0.1), Ui("Learning rate", "peak of AdamW's learning rate")] = 6e-4
    ema: Annotated[float, Ge(0), Le(1), Ui("EMA", "decay of the averaged weights in one step")] = 0.999
    held_out: Annotated[float, Gt(0), Le(0.5), Ui("Held out", "share of the sources kept for calibration")] = 0.06
    noise_limit: Annotated[
        float, Gt(0), Ui("Noise limit", "share of an image's range; noisier images are reduced in size or left out")
    ] = 0.035
    save_minutes: Annotated[float, Gt(0), Ui("Save", "minutes between two checkpoints")] = 1.0
    sample_minutes: Annotated[float, Gt(0), Ui("Samples", "minutes between two pictures of samples")] = 15.0
    calibration: Annotated[
        int,
        Ge(0),
        Ui(
            "Coverage patches",
            "held-out patches for each noise level and task of the coverage factor, at most one in ten minutes; 0: none",
        ),
    ] = 6
    seed: Annotated[int, Ge(0), Ui("Seed", "seed of patches, noise and weights")] = 0


@dataclass
class Progress:
    """Where a run stands; saved with the weights."""

    step: int = 0
    seconds: float = 0.0
    images: int = 0
    history: list[Event] = field(default_factory=list)


def make_network(size: str, channels: int = 1) -> Any:
    """Untrained UNet2DModel of a size, without attention."""
    from diffusers import UNet2DModel

    widths, layers = SIZES[size]
    return UNet2DModel(
        sample_size=64,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=widths,
        layers_per_block=layers,
        down_block_types=("DownBlock2D",) * len(widths),
        up_block_types=("UpBlock2D",) * len(widths),
        add_attention=False,
        norm_num_groups=8,
    )


def make_scheduler() -> Any:
    """DDPM table from sigma 0.003 to 156, velocity prediction."""
    from diffusers import DDPMScheduler

    return DDPMScheduler(beta_start=1e-5, beta_end=0.02, prediction_type="v_prediction", clip_sample=False)


def draw_sigma(count: int, table: SigmaTable, generator: Any) -> Tensor:
    """Training noise levels: mostly log-normal around 0.25, a sixth log-uniform over the whole table."""
    import torch

    usual = torch.randn(count, generator=generator) * 1.5 - 1.4
    low, high = math.log(table.sigma_min), math.log(table.sigma_max)
    wide = low + (high - low) * torch.rand(count, generator=generator)
    pick = torch.rand(count, generator=generator) < 1 / 6
    return torch.where(pick, wide, usual).clamp(low, high).exp()


def velocity_loss(network: Any, clean: Tensor, noise: Tensor, sigma: Tensor, table: SigmaTable) -> Tensor:
    """Squared error of the velocity (Salimans & Ho 2022, section 4), mean over pixels, one value per image."""
    level = sigma.view(-1, 1, 1, 1)
    scale = 1 / (1 + level**2).sqrt()
    target = scale * (noise - level * clean)
    output = network(scale * (clean + level * noise), table.timestep(sigma)).sample
    loss: Tensor = (output.float() - target).square().mean((1, 2, 3))
    return loss


def share_done(settings: TrainSettings, progress: Progress) -> float:
    """Share of the training that is done, by the clock or by the steps, at most 1."""
    by_steps = progress.step / settings.steps if settings.steps else 0.0
    return min(max(progress.seconds / (60 * settings.minutes), by_steps), 1.0)


def learning_rate(settings: TrainSettings, progress: Progress) -> float:
    """Warm-up over 200 steps, constant for half the training, then a cosine to zero at its end."""
    fall = 0.5 * (1 + math.cos(math.pi * max(0.0, share_done(settings, progress) - 0.5) / 0.5))
    return settings.learning_rate * min(1.0, (progress.step + 1) / 200) * max(fall, 1e-3)


def patch_of(settings: TrainSettings, step: int) -> int:
    """Patch side of a step: the sizes take turns, so that the network serves them all."""
    return settings.patches[step % len(settings.patches)]


@dataclass
class Every:
    """Asks for something once in so many seconds."""

    seconds: float
    last: float = field(default_factory=time.monotonic)

    def due(self) -> bool:
        """Whether it is time again."""
        if time.monotonic() - self.last < self.seconds:
            return False
        self.last = time.monotonic()
        return True


def train(
    images: Sequence[TrainingImage],
    held: Sequence[TrainingImage],
    folder: Path,
    settings: TrainSettings,
    emit: Callable[[Event], None],
) -> Progress:
    """Train, or continue, the run in a folder until its time is used up or a file ``stop`` appears in it.

    Parameters
    ----------
    images, held : sequence of TrainingImage
        Training images, and held-out ones for the validation loss.
    folder : Path
        The run's folder; ``state.safetensors`` in it is continued.
    settings : TrainSettings
    emit : callable
        Receives an event (JSON types) about every ten seconds.

    Raises
    ------
    ValueError
        If the state or the prior to start from does not fit the settings.
    """
    from .state import Run

    run = Run.open(folder, settings)
    report, save, show = Every(10), Every(60 * settings.save_minutes), Every(60 * settings.sample_minutes)
    _, stop = run.agree(0.0, (folder / "stop").exists())
    batches = run.batches(images)
    losses: list[Tensor] = []
    while not stop and share_done(settings, run.progress) < 1:
        started = time.monotonic()
        losses.append(run.step(next(batches)))
        seconds, stop = run.agree(time.monotonic() - started, (folder / "stop").exists())
        run.progress.seconds += seconds
        if not run.main:
            continue
        if report.due():
            emit(_step_event(settings, run.progress, losses))
            losses.clear()
        if save.due():
            run.validate(held, emit)
            run.save(folder)
        if show.due():
            run.show(folder / "samples.png", images, emit)
    if run.main:
        run.validate(held, emit)
        run.save(folder)
        (folder / "stop").unlink(missing_ok=True)
    return run.progress


def _step_event(settings: TrainSettings, progress: Progress, losses: Sequence[Tensor]) -> Event:
    """Where the run stands: mean loss since the last event, patches seen, seconds to go."""
    done = share_done(settings, progress)
    left = round(progress.seconds * (1 - done) / max(done, 1e-9))
    loss = float(sum(losses)) / len(losses)
    return {"event": "step", "step": progress.step, "loss": loss, "images": progress.images, "eta_s": left}


def write_json(path: Path, value: Any) -> None:
    """Write JSON under a temporary name and rename it, so that a reader never sees half of it."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(value, indent=1))
    temporary.replace(path)
