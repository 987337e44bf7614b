"""The state of a training run: weights, average, optimiser; saved atomically and resumed exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..rng import stream_seed
from .data import TYPICAL, TrainingImage, batch
from .feed import batches, cutters
from .loop import (
    Event,
    Progress,
    TrainSettings,
    draw_sigma,
    learning_rate,
    make_network,
    make_scheduler,
    velocity_loss,
)

if TYPE_CHECKING:
    from torch import Tensor

FILE, TEMPORARY = "state.safetensors", ".state.safetensors.tmp"


class Run:
    """Network, its running average, optimiser and progress of one training run.

    Parameters
    ----------
    settings : TrainSettings
    """

    def __init__(self, settings: TrainSettings) -> None:
        import torch
        from accelerate import Accelerator

        from ..priors.sigma import SigmaTable

        torch.manual_seed(settings.seed)
        self.settings = settings
        self.progress = Progress()
        self.accelerator = Accelerator()
        self.main: bool = self.accelerator.is_main_process
        self.table = SigmaTable.from_scheduler(make_scheduler())
        self.network = make_network(settings.size).to(memory_format=torch.channels_last)
        self.fused = torch.backends.cudnn.benchmark = self.accelerator.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), settings.learning_rate, (0.9, 0.99), weight_decay=1e-3, fused=self.fused
        )
        self.model, self.optimizer = self.accelerator.prepare(self.network, self.optimizer)
        self.parameters: dict[str, Tensor] = dict(self.network.named_parameters())
        self.average = {name: value.detach().clone() for name, value in self.parameters.items()}

    @classmethod
    def open(cls, folder: Path, settings: TrainSettings) -> Run:
        """Start a run, from a prior if the settings name one, or continue the one whose state lies in the folder.

        Raises
        ------
        ValueError
            If the state or the prior belongs to a network of another size.
        """
        run = cls(settings)
        if run.main:
            (folder / TEMPORARY).unlink(missing_ok=True)  # of a process that was killed while it wrote
        if (folder / FILE).is_file():
            run._load(folder / FILE)
        elif settings.from_prior:
            run._start_from(settings.from_prior)
        return run

    def _start_from(self, name: str) -> None:
        """Take weights and average from a prior."""
        import numpy as np
        import torch

        from ..priors.store import load_prior

        prior = load_prior(name)
        weights = prior.network.state_dict()
        same = {k: v.shape for k, v in weights.items()} == {k: v.shape for k, v in self.parameters.items()}
        levels = (prior.table.log_sigmas, self.table.log_sigmas)
        if not same or prior.prediction != "v_prediction" or len(levels[0]) != len(levels[1]) or not np.allclose(*levels):
            raise ValueError(
                f"{name} is not a prior of the size {self.settings.size!r} that this program trained: "
                "choose another size, or train from nothing."
            )
        with torch.no_grad():
            for key, value in self.parameters.items():
                value.copy_(weights[key])
                self.average[key].copy_(weights[key])

    def _noise(self, clean: Tensor, key: int) -> tuple[Tensor, Tensor]:
        """Noise and noise levels for a batch; on a GPU the noise is drawn there, as the CPU could not keep up."""
        import torch

        generator = torch.Generator().manual_seed(key)
        sigma = draw_sigma(len(clean), self.table, generator).to(clean.device)
        if clean.device.type == "cuda":
            generator = torch.Generator(clean.device).manual_seed(key)
        return torch.randn(clean.shape, generator=generator, device=clean.device), sigma

    def batches(self, images: Sequence[TrainingImage]) -> Iterator[Tensor]:
        """Patches of this process for the next step, the one after it, and so on without end."""
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        workers = cutters(self.accelerator.device.type, world)
        return batches(images, self.settings, self.progress.step, rank, world, workers)

    def step(self, clean: Tensor) -> Tensor:
        """One optimiser step on a batch of patches; returns the loss of this process's part, still on the device."""
        import torch

        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        count = len(clean)
        clean = clean.to(self.accelerator.device, memory_format=torch.channels_last, non_blocking=True)
        noise, sigma = self._noise(clean, stream_seed(self.settings.seed, self.progress.step, rank))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.progress)
        with torch.autocast(clean.device.type, torch.bfloat16):
            loss = velocity_loss(self.model, clean, noise, sigma, self.table).mean()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.progress.step += 1
        self.progress.images += count * world
        decay = self.settings.ema
        if not self.settings.from_prior:  # the first weights mean nothing: the average must forget them
            decay = min(decay, (1 + self.progress.step) / (10 + self.progress.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.parameters.values()), 1 - decay)
        return loss.detach()

    def agree(self, seconds: float, stop: bool) -> tuple[float, bool]:
        """Mean of the processes' clocks, and whether one was told to stop.

        All of them must end at the same step, or one waits for ever.
        """
        import torch

        if self.accelerator.num_processes == 1:
            return seconds, stop
        said = torch.tensor([seconds, float(stop)], dtype=torch.float32, device=self.accelerator.device)
        mean = self.accelerator.reduce(said, "mean")
        return float(mean[0]), bool(mean[1] > 0)

    def validate(self, held: Sequence[TrainingImage], emit: Callable[[Event], None], count: int = 32) -> None:
        """Loss of the averaged weights on the same held-out patches and noise each time."""
        import torch

        clean = batch(held, min(self.settings.patches), count, [1], augment=False).to(self.accelerator.device)
        noise, sigma = self._noise(clean, 1)
        network = self.averaged_network()
        with torch.no_grad(), torch.autocast(clean.device.type, torch.bfloat16):
            losses = velocity_loss(network, clean, noise, sigma, self.table)
        where = {"step": self.progress.step, "seconds": round(self.progress.seconds)}
        event: Event = {"event": "validation", **where, "loss": float(losses.mean())}
        self.progress.history.append(event)
        emit(event)

    def show(self, path: Path, images: Sequence[TrainingImage], emit: Callable[[Event], None], count: int = 16) -> None:
        """Picture of what the averaged weights make up without any data, in the smallest patch size of the training images."""
        from ..priors.levels import Levels
        from ..priors.network import NetworkPrior
        from .sampling import draw_samples, write_grid

        side = min(self.settings.patches)
        network = self.averaged_network()
        prior = NetworkPrior(network, self.table, "v_prediction", (side, side), precision="bfloat16")
        prior.levels = Levels.of(batch(images, side, TYPICAL, [self.settings.seed]))
        write_grid(path, draw_samples(prior, count, side, steps=20, device=str(self.accelerator.device)))
        emit({"event": "samples", "step": self.progress.step, "file": str(path)})

    def averaged_network(self) -> Any:
        """Copy of the network with the averaged weights."""
        import torch

        network = make_network(self.settings.size).to(self.accelerator.device, memory_format=torch.channels_last)
        network.load_state_dict({name: value.detach() for name, value in self.average.items()})
        return network.eval()

    def save(self, folder: Path) -> None:
        """Write the whole state under a temporary name, then rename it."""
        import torch
        from safetensors.torch import save

        tensors = {f"network.{k}": v.detach() for k, v in self.parameters.items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for name, value in self.parameters.items():
            state = self.optimizer.state.get(value, {})
            tensors |= {f"optimizer.{name}.{k}": torch.as_tensor(v) for k, v in state.items()}
        temporary = folder / TEMPORARY
        plain = {k: v.cpu().contiguous() for k, v in tensors.items()}
        # Not `save_file`: killed in the middle, it leaves a temporary file of a random name behind.
        temporary.write_bytes(save(plain, metadata={"progress": json.dumps(asdict(self.progress))}))
        temporary.replace(folder / FILE)

    def _load(self, path: Path) -> None:
        import torch
        from safetensors import safe_open

        with safe_open(path, "pt") as stored, torch.no_grad():
            self.progress = Progress(**json.loads(stored.metadata()["progress"]))
            keys = set(stored.keys())
            for name, value in self.parameters.items():
                key = f"network.{name}"
                if key not in keys or list(value.shape) != stored.get_slice(key).get_shape():
                    raise ValueError(f"{path} belongs to a network of another size: choose that size, or another folder.")
            for name, value in self.parameters.items():
                value.copy_(stored.get_tensor(f"network.{name}"))
                self.average[name].copy_(stored.get_tensor(f"average.{name}"))
                prefix = f"optimizer.{name}."
                moments = {k.removeprefix(prefix): stored.get_tensor(k) for k in keys if k.startswith(prefix)}
                if moments:
                    self.optimizer.state[value] = {
                        k: v.to(value.device) if v.ndim or self.fused else v for k, v in moments.items()
                    }
