"""One case of the speed benchmark, in a process of its own: a restoration and its bare network calls, in turns.

python -m napari_diffprior.bench.speed_case '{"sampler": "decoupled", "size": 256}'
"""

from __future__ import annotations

import copy
import json
import math
import resource
import statistics
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge

from ..params import from_dict, params

if TYPE_CHECKING:
    from torch import Tensor

    from ..device import Device
    from ..recipe import Recipe


@params
class Case:
    """What is timed: samples of a gap-filling restoration, drawn as one batch."""

    sampler: str
    size: Annotated[int, Ge(64)] = 256
    batch: Annotated[int, Ge(1)] = 1
    steps: Annotated[int, Ge(1)] = 10
    repeats: Annotated[int, Ge(1)] = 5
    prior: str = "microscopy"
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


class Recorder:
    """A network that remembers what it was called with.

    Parameters
    ----------
    network : module
        As `NetworkPrior` takes it.
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        self.dtype = getattr(network, "dtype", None)
        self.calls: list[tuple[tuple[int, ...], bool]] = []

    def __call__(self, x: Tensor, time: Tensor) -> Any:
        """Call the network; note the shape and whether a gradient is wanted."""
        self.calls.append((tuple(x.shape), x.requires_grad))
        return self.network(x, time)


def needed(calls: list[tuple[tuple[int, ...], bool]]) -> list[tuple[tuple[int, ...], bool]]:
    """Calls that the method itself needs: one forward pass, or one with its gradient, for each of its denoisings.

    A tiled gradient is computed twice, first without and then with a graph; its first pass is overhead, not need.
    """
    again = sum(shape[0] for shape, gradient in calls if gradient)
    kept = []
    for shape, gradient in calls:
        if not gradient and again >= shape[0]:
            again -= shape[0]
        else:
            kept.append((shape, gradient))
    return kept


def _recipe(case: Case, noise: float) -> Recipe:
    from ..restoration import make_recipe

    place = {"device": case.device, "precision": case.precision}
    return make_recipe(case.sampler, case.steps, noise=noise, samples=case.batch, batch=case.batch, **place)


def measure(case: Case) -> dict[str, Any]:
    """Medians over the repetitions of a case.

    Returns
    -------
    dict
        ``calls``: network calls for a sample, as the sampler counts them. ``seconds``: of the restoration without
        loading. ``bare_seconds``: of the same number of network calls on batches of the same shapes, in the same
        precision, with the gradient for the input where the method takes one, and nothing around them. ``ratio``.
        ``plain_seconds``, ``plain_ratio``: the same beside calls of the network as diffusers makes it, which on a CPU is
        slower than the one that a restoration calls (priors/lean.py).
        ``pixels``: pixels that went through the network in a call, in units of the image; above 1 tiles overlap.
        ``mebibytes``: peak memory of the process up to the first restoration (of the GPU, where there is one).
    """
    from ..device import choose_device
    from ..plane import run_to_end
    from ..priors.store import find_prior, load_prior, plain_network
    from ..restoration import restore_iter
    from ..tiling import TiledDenoiser

    device = choose_device(case.device, case.precision)
    prior = copy.copy(load_prior(case.prior, device.name, device.precision))
    recorder = prior.network = Recorder(prior.network)
    task = _task(case.size)
    recipe = _recipe(case, task.noise)

    def restore() -> tuple[float, Any]:
        started = time.perf_counter()
        result = run_to_end(restore_iter(task.image, task.mask, recipe=recipe, prior=TiledDenoiser.grown(prior)))
        _wait(device)
        return time.perf_counter() - started, result

    _, result = restore()
    peak, shapes = _peak(device), needed(recorder.calls)
    inputs, plain = _inputs(shapes, device), plain_network(find_prior(case.prior), device.name)
    turns = []
    for _ in range(case.repeats):
        recorder.calls.clear()
        turns.append((restore()[0], *(_bare(shapes, inputs, network, device) for network in (recorder.network, plain))))
    seconds, bare, plainly = (statistics.median(times) for times in zip(*turns, strict=True))
    pixels = sum(math.prod(shape) for shape, _ in shapes) / (result.calls * case.batch * task.image.size)
    return {
        **asdict(case),
        "precision": device.precision,
        "calls": result.calls,
        "seconds": seconds,
        "bare_seconds": bare,
        "ratio": seconds / bare,
        "plain_seconds": plainly,
        "plain_ratio": seconds / plainly,
        "pixels": pixels,
        "mebibytes": peak,
        "all_seconds": turns,
    }


def _task(size: int) -> Any:
    """Missing pixels in the package's sample, continued by reflection where it is too small."""
    from .pictures import clean_pictures
    from .tasks import make_task

    (picture,) = clean_pictures(size=min(size, 256))
    return make_task("scattered", np.pad(picture, (0, size - len(picture)), mode="symmetric"))


def _inputs(shapes: list[tuple[tuple[int, ...], bool]], device: Device) -> dict[tuple[int, ...], tuple[Any, Any]]:
    """An input and a time for each shape, made before anything is timed."""
    import torch

    made = {}
    for shape, _ in shapes:
        times = torch.full((shape[0],), 300.0, device=device.name)
        made[shape] = (torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device.name), times)
    return made


def _bare(shapes: list[tuple[tuple[int, ...], bool]], inputs: Any, network: Any, device: Device) -> float:
    """Seconds of the network calls and nothing else."""
    import torch

    started = time.perf_counter()
    for shape, gradient in shapes:
        x, at = inputs[shape]
        half = torch.autocast(device.name.split(":")[0], torch.bfloat16, enabled=device.precision == "bfloat16")
        with torch.set_grad_enabled(gradient):
            x = x.detach().requires_grad_(gradient)
            with half:
                output = network(x, at).sample
            if gradient:
                torch.autograd.grad(output.sum(), x)
    _wait(device)
    return time.perf_counter() - started


def _wait(device: Device) -> None:
    if device.name.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device.name)


def _peak(device: Device) -> float:
    """Peak memory so far, MiB."""
    if device.name.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device.name) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(from_dict(Case, json.loads(sys.argv[1])))) + "\n")
