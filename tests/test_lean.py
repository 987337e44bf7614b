from __future__ import annotations

import copy
import os
from typing import Any

import pytest
import torch
from diffusers import UNet2DModel
from torch import nn

from napari_diffprior.priors.lean import LeanBlock, LeanUpsample, NormSiLU, lean, merged


def network(**settings: Any) -> Any:
    torch.manual_seed(0)
    plain = {"add_attention": False, "norm_num_groups": 2, "layers_per_block": 1, "block_out_channels": (4, 6, 8)}
    blocks = {"down_block_types": ("DownBlock2D",) * 3, "up_block_types": ("UpBlock2D",) * 3, "in_channels": 1, "out_channels": 1}
    made = UNet2DModel(**{**plain, **blocks, **settings}).double().eval().requires_grad_(False)
    for name, value in made.named_parameters():
        if "norm" in name:  # as made they are 1 and 0, and hide mistakes
            value.copy_(torch.rand_like(value) + 0.5)
    return made


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"resnet_time_scale_shift": "scale_shift"},
        {"add_attention": True, "attention_head_dim": 2},
        {"downsample_type": "resnet", "upsample_type": "resnet"},
        {"act_fn": "gelu"},
        {"mid_block_scale_factor": 2**0.5},
    ],
    ids=["plain", "scale_shift", "attention", "resnet", "gelu", "scaled"],
)
def test_a_lean_network_computes_the_same_and_so_does_its_gradient(settings: dict[str, Any]) -> None:
    plain = network(**settings)
    slim = lean(copy.deepcopy(plain))
    assert slim.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(2, 1, 16, 24, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    time, pull = torch.tensor([3.0, 500.0], dtype=torch.float64), torch.randn(2, 1, 16, 24, dtype=torch.float64)
    found = []
    for one in (plain, slim):
        at = x.clone().requires_grad_()
        value = one(at, time).sample
        found.append((value.detach(), *torch.autograd.grad(value, at, pull)))
        with torch.no_grad():
            assert torch.allclose(one(x, time).sample, value, rtol=0, atol=1e-12)
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-10 * float(theirs.abs().max()))


def test_the_plain_parts_are_replaced() -> None:
    slim = lean(network())
    kinds = [type(module) for module in slim.modules()]
    assert kinds.count(LeanBlock) == 3 + 2 + 6 and kinds.count(LeanUpsample) == 2
    assert kinds.count(NormSiLU) == 2 * kinds.count(LeanBlock) + 1


def test_doubling_pixels_and_convolving_is_a_transposed_convolution() -> None:
    from torch.nn.functional import conv2d, conv_transpose2d, interpolate

    x, weight = torch.randn(2, 3, 5, 7, dtype=torch.float64), torch.randn(4, 3, 3, 3, dtype=torch.float64)
    expected = conv2d(interpolate(x, scale_factor=2.0, mode="nearest"), weight, padding=1)
    assert torch.allclose(conv_transpose2d(x, merged(weight), stride=2, padding=1), expected, rtol=0, atol=1e-12)


def test_short_operations_run_on_one_thread_and_leave_the_number_as_it_was() -> None:
    from napari_diffprior.device import FEW_VALUES, few_threads

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for size, within in ((10, 1), (FEW_VALUES + 1, 2)):
            with pytest.raises(ValueError, match="in between"), few_threads(torch.empty(size)):
                assert torch.get_num_threads() == within
                raise ValueError("in between")
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_threads_sleep_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_diffprior.device import let_threads_sleep

    for said, policy, spins in ((None, "passive", "1000"), ("active", "active", None)):
        monkeypatch.setattr(os, "environ", {} if said is None else {"OMP_WAIT_POLICY": said})
        let_threads_sleep()
        assert (os.environ["OMP_WAIT_POLICY"], os.environ.get("GOMP_SPINCOUNT")) == (policy, spins)


def test_weights_are_rounded_once_for_bfloat16() -> None:
    from napari_diffprior.priors.store import load_prior

    x, sigma = torch.randn(1, 1, 64, 64), torch.tensor([0.3])
    prior = load_prior("microscopy", "cpu", "bfloat16")
    in_each_call = copy.copy(load_prior("microscopy", "cpu", "float32"))
    in_each_call.precision = "bfloat16"
    assert {m.weight.dtype for m in prior.network.modules() if type(m) is nn.Conv2d} == {torch.bfloat16}
    with torch.no_grad():
        assert torch.equal(prior(x, sigma), in_each_call(x, sigma))


@pytest.mark.parametrize("name", ["scattered", "deblur"])
def test_bfloat16_restores_as_well_as_float32(name: str) -> None:
    from napari_diffprior.bench.pictures import clean_pictures
    from napari_diffprior.bench.tasks import make_task
    from napari_diffprior.metrics import psnr
    from napari_diffprior.restoration import restore

    (picture,) = clean_pictures(size=96)
    task = make_task(name, picture)
    exact, fast = (
        psnr(restore(task.image, samples=2, steps=8, precision=kind, **task.settings()).mean, task.reference)
        for kind in ("float32", "bfloat16")
    )
    assert fast == pytest.approx(exact, abs=0.05)
