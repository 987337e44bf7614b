from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure, and neither is the first call that imports a library.
settings.register_profile("checks", deadline=None)
settings.load_profile("checks")
# The priors of whoever runs the tests are not theirs.
os.environ["NAPARI_DIFFPRIOR_PRIORS"] = str(Path(__file__).parent / "none")


@pytest.fixture(scope="session")
def tiny_prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random network: what it restores does not matter here."""
    import torch
    from diffusers import DDPMScheduler, UNet2DModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("prior")
    blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "block_out_channels": (4,)}
    shape = {"sample_size": 16, "in_channels": 1, "out_channels": 1, "layers_per_block": 1, "norm_num_groups": 2}
    UNet2DModel(**shape, **blocks, add_attention=False).save_pretrained(folder / "unet")
    DDPMScheduler().save_pretrained(folder / "scheduler")
    return folder
