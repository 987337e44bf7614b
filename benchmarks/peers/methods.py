"""One restoration by this package, by deepinv or by diffusers: same weights, measurement, operator, noise and calls.

Each function takes a Problem and gives the restored picture in its units. Run in the environment of setup.sh only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from napari_diffprior.bench.pictures import clean_pictures
from napari_diffprior.bench.tasks import Task, make_task
from napari_diffprior.intensity import Intensity
from napari_diffprior.priors.network import NetworkPrior
from napari_diffprior.priors.sigma import SigmaTable
from napari_diffprior.priors.store import find_prior, load_prior
from napari_diffprior.restoration import restore

Array = np.ndarray[Any, Any]
START = 500  # timestep at which SDEdit begins
WEIGHTS: dict[tuple[str, str], dict[str, Any]] = {  # of deepinv's methods, for 256 x 256 and 30 calls; see tune.py
    ("dps", "scattered"): {"guidance": "annealed", "weight": 5.0},
    ("dps", "deblur"): {"guidance": "annealed", "weight": 3.0},
    ("diffpir", "scattered"): {"lambda_": 0.3, "zeta": 1.0},
    ("diffpir", "deblur"): {"lambda_": 7.0, "zeta": 1.0},
}
MANY = 100  # calls from which other weights suit it better; found with 300 calls on 128 x 128
WEIGHTS_OF_MANY: dict[tuple[str, str], dict[str, Any]] = {
    ("dps", "scattered"): {"guidance": "annealed", "weight": 3.0},
    ("dps", "deblur"): {"guidance": "annealed", "weight": 3.0},
}
OUR_WEIGHTS: dict[tuple[str, str], dict[str, Any]] = {  # where ours are tuned as well: the best of lambda 1 to 15, zeta 0.3 to 1
    ("diffpir", "deblur"): {"weights": "published", "lambda_": 1.0, "zeta": 1.0},
}


@dataclass(frozen=True)
class Problem:
    """A task, the number of network calls, and how the network runs."""

    task: Task
    prior: str
    calls: int
    seed: int
    precision: str
    untiled: bool

    @classmethod
    def of(cls, name: str, size: int, **settings: Any) -> Problem:
        """Task on a crop of the package's sample, doubled by reflection where it is larger than that."""
        (picture,) = clean_pictures(size=min(size, 256), count=1)
        copies = math.ceil(size / len(picture))
        picture = np.pad(picture, (0, (copies - 1) * len(picture)), mode="symmetric")[:size, :size]
        return cls(make_task(name, picture), **settings)

    @property
    def measured(self) -> Array:
        return np.ones(self.task.image.shape, bool) if self.task.mask is None else ~self.task.mask

    @property
    def intensity(self) -> Intensity:
        return Intensity.of(self.task.image[self.measured])


def ours(sampler: str, samples: int = 1, **options: Any) -> Callable[[Problem], Array]:
    """This package, as a user calls it, with as many network calls a sample; weights as they come or tuned as the peer's are."""

    def run(problem: Problem) -> Array:
        prior: Any = problem.prior
        if problem.untiled:
            prior = load_prior(prior, "cpu", "float32" if problem.precision == "float32" else "bfloat16")
        result = restore(
            problem.task.image,
            sampler=sampler,
            steps=problem.calls,
            samples=samples,
            seed=problem.seed,
            prior=prior,
            device="cpu",
            precision=problem.precision,
            options=options or OUR_WEIGHTS.get((sampler, problem.task.name), {}),
            **problem.task.settings(),
        )
        assert result.calls == problem.calls, f"{sampler} made {result.calls} calls, not {problem.calls}"
        return result.mean

    return run


# ---------------------------------------------------------------- deepinv


def plain_prior(problem: Problem) -> NetworkPrior:
    """The same weights in the network that diffusers makes of them, without what this package does to be fast."""
    from diffusers import DDPMScheduler, UNet2DModel

    folder = find_prior(problem.prior)
    network = UNet2DModel.from_pretrained(folder / "unet", use_safetensors=True).eval().requires_grad_(False)
    scheduler = DDPMScheduler.from_pretrained(folder / "scheduler")
    half: Any = "float32" if problem.precision == "float32" else "bfloat16"
    levels = len(network.config["block_out_channels"])
    prediction = scheduler.config["prediction_type"]
    return NetworkPrior(
        network, SigmaTable.from_scheduler(scheduler), prediction, None, multiple=2 ** (levels - 1), precision=half
    )


class Unit(torch.nn.Module):
    """The prior as deepinv's denoisers are: images in [0, 1], noise in the same unit; counts its calls."""

    def __init__(self, prior: Any) -> None:
        super().__init__()
        self.prior, self.calls = prior, 0

    def forward(self, x: torch.Tensor, sigma: Any, *_: Any, **__: Any) -> torch.Tensor:
        self.calls += 1
        level = 2 * torch.as_tensor(sigma, dtype=torch.float32).reshape(-1).expand(len(x))
        level = level.clamp(self.prior.sigma_min, self.prior.sigma_max)
        return (self.prior(2 * x.float() - 1, level) + 1) / 2


def _physics(problem: Problem) -> tuple[Any, torch.Tensor]:
    """Operator and measurement in [0, 1]."""
    import deepinv

    task, scale = problem.task, problem.intensity
    noise = deepinv.physics.GaussianNoise(sigma=task.noise / scale.scale / 2)
    y = torch.as_tensor((scale.to_model(task.image) + 1) / 2, dtype=torch.float32)[None, None]
    if task.psf is not None:
        psf = torch.as_tensor(task.psf[::-1, ::-1].copy(), dtype=torch.float32)[None, None]
        return deepinv.physics.Blur(filter=psf, padding="valid", use_fft=True, noise_model=noise), y
    keep = torch.as_tensor(problem.measured, dtype=torch.float32)[None, None]
    return deepinv.physics.Inpainting(img_size=(1, *task.image.shape), mask=keep, noise_model=noise), y * keep


def peer(name: str, **setting: Any) -> Callable[[Problem], Array]:
    """A method of deepinv, with the weights that ``tune.py`` found best or with one's own."""

    def run(problem: Problem) -> Array:
        tuned = WEIGHTS if problem.calls < MANY else WEIGHTS_OF_MANY
        weights = setting or tuned.get((name, problem.task.name), {})
        physics, y = _physics(problem)
        denoiser = Unit(plain_prior(problem))
        restored = PEERS[name](denoiser, problem, **weights)(y, physics, seed=problem.seed + 1)  # its seed 0 means none
        assert denoiser.calls in (problem.calls, problem.calls - 1), f"{denoiser.calls} calls, not {problem.calls}"
        model = (2 * restored[0, 0].double() - 1).cpu().numpy()
        top, left = ((got - want) // 2 for got, want in zip(model.shape, problem.task.image.shape, strict=True))
        visible = model[top : top + problem.task.image.shape[0], left : left + problem.task.image.shape[1]]
        return np.asarray(problem.intensity.to_image(visible))

    return run


def _dps(denoiser: Any, problem: Problem, **weights: Any) -> Any:
    from deepinv.sampling import DPS

    return DPS(denoiser, num_steps=problem.calls + 1, rng=torch.Generator(), **weights)


def _diffpir(denoiser: Any, problem: Problem, **weights: Any) -> Any:
    from deepinv.optim import L2
    from deepinv.sampling import DiffPIR

    noise = problem.task.noise / problem.intensity.scale / 2
    return DiffPIR(denoiser, L2(), sigma=noise, max_iter=problem.calls, **weights)


def _ddrm(denoiser: Any, problem: Problem) -> Any:
    from deepinv.sampling import DDRM

    return DDRM(denoiser, sigmas=np.linspace(1, 0, problem.calls))


def _posterior(denoiser: Any, problem: Problem) -> Any:
    from deepinv.sampling import ALDDataFidelity, DDPMSolver, PosteriorDiffusion, VariancePreservingDiffusion

    times = torch.linspace(1, 0, problem.calls + 1, dtype=torch.float64)
    return PosteriorDiffusion(
        data_fidelity=ALDDataFidelity(),
        denoiser=denoiser,
        sde=VariancePreservingDiffusion(alpha=1.0),
        solver=DDPMSolver(timesteps=times, rng=torch.Generator()),
    )


PEERS: dict[str, Callable[..., Any]] = {"dps": _dps, "diffpir": _diffpir, "ddrm": _ddrm, "posterior": _posterior}


# ---------------------------------------------------------------- diffusers


def diffusers_sdedit(problem: Problem) -> Array:
    """SDEdit as a loop over diffusers' own scheduler."""
    from diffusers import DDPMScheduler, UNet2DModel

    folder = find_prior(problem.prior)
    scheduler = DDPMScheduler.from_pretrained(folder / "scheduler")
    network = UNet2DModel.from_pretrained(folder / "unet", use_safetensors=True).eval()
    scheduler.set_timesteps(round(problem.calls * 1000 / START))
    generator = torch.Generator().manual_seed(problem.seed)
    data = torch.as_tensor(problem.intensity.to_model(problem.task.image), dtype=torch.float32)[None, None]
    times = scheduler.timesteps[-problem.calls :]
    x = scheduler.add_noise(data, torch.randn(data.shape, generator=generator), times[:1])
    with torch.no_grad():
        for time in times:
            x = scheduler.step(network(x, time).sample, time, x, generator=generator).prev_sample
    return np.asarray(problem.intensity.to_image(x[0, 0].double().numpy()))


PAIRS: dict[str, tuple[Callable[[Problem], Array], Callable[[Problem], Array], tuple[str, ...]]] = {
    "dps": (ours("dps"), peer("dps"), ("scattered", "deblur")),
    "dps, published guidance": (ours("dps", guidance="norm"), peer("dps"), ("scattered", "deblur")),
    "diffpir": (ours("diffpir"), peer("diffpir"), ("scattered", "deblur")),
    "ddrm": (ours("ddrm"), peer("ddrm"), ("scattered",)),
    "score_ald": (ours("score_ald"), peer("posterior"), ("scattered", "deblur")),
    "sdedit": (ours("sdedit", start=START, repeats=1), diffusers_sdedit, ("denoise",)),
    "decoupled": (ours("decoupled", samples=4), peer("dps"), ("scattered", "deblur")),
}
