"""Priors from elsewhere: the hub's cache, flat repositories, classes; nothing here needs a network."""

import json

import pytest
import torch

from napari_diffprior import cli, list_priors
from napari_diffprior.priors.store import PRIORS_VARIABLE, find_prior, load_prior, own_priors, prior_info, split_label
from napari_diffprior.testing import check_prior

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = f"hf:somebody/cells@{COMMIT}"


def save(folder, channels=1, flat=False, classes=None, kind=None):
    """A small random network, as a pipeline or flat as in some repositories."""
    from diffusers import DDPMScheduler, UNet2DModel

    torch.manual_seed(0)
    network = UNet2DModel(
        sample_size=16,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        add_attention=False,
        num_class_embeds=classes,
        class_embed_type=kind,
    ).eval()
    network.save_pretrained(folder if flat else folder / "unet", safe_serialization=True)
    DDPMScheduler().save_pretrained(folder if flat else folder / "scheduler")
    return network


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A hub cache of its own, and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("flat", [True, False])
def test_a_cached_prior_works_offline(cache, channels, flat):
    network = save(cache / "models--somebody--cells" / "snapshots" / COMMIT, channels, flat)
    prior = load_prior(NAME)
    assert (prior.channels, prior.patch) == (channels, (16, 16))
    x, sigma = torch.randn(1, channels, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([1.0])
    with torch.no_grad():
        expected = x - network(x / 2**0.5, prior.table.timestep(sigma)).sample
        torch.testing.assert_close(prior(x, sigma), expected, rtol=1e-4, atol=1e-5)
    check_prior(prior, (channels, 16, 16), double=False, draws=500)
    assert [(info.name, info.channels) for info in list_priors() if info.name == NAME] == [(NAME, channels)]
    assert prior_info(NAME).name == NAME


def test_offline_and_unknown_is_one_sentence(cache, capsys):
    assert cli.run(["check", "prior", NAME]) == 2
    err = capsys.readouterr().err
    assert "is not in the cache and cannot be downloaded" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["hf:somebody/cells", "hf:somebody/cells@main", "hf:cells@" + COMMIT, NAME + "0", "hf:../x@" + COMMIT]
)
def test_a_revision_must_be_pinned(cache, name):
    with pytest.raises(ValueError, match="is not pinned: write hf:owner/repository@") as caught:
        find_prior(name)
    assert "\n" not in str(caught.value)


def test_the_label_is_bound_at_load(cache):
    network = save(cache / "models--somebody--cells" / "snapshots" / COMMIT, classes=4)
    x, sigma = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.full((2,), 0.5)
    found = []
    for label in (1, 3):
        prior = load_prior(f"{NAME}#label={label}")
        with torch.no_grad():
            output = network(x / 1.25**0.5, prior.table.timestep(sigma), class_labels=torch.full((2,), label)).sample
            found.append(prior(x, sigma))
        torch.testing.assert_close(found[-1], x - 0.5 * output, rtol=1e-4, atol=1e-5)
    assert (found[0] - found[1]).abs().max() > 1e-4
    check_prior(prior, (1, 16, 16), double=False, draws=500)


def test_a_wrong_label_is_refused(tmp_path):
    save(tmp_path / "classes", classes=4)
    save(tmp_path / "plain")
    save(tmp_path / "vectors", kind="identity")
    sentences = {
        "classes": "is class-conditional: choose a class",
        "classes#label=4": "has the classes 0 to 3",
        "classes#label=x": "a class is given as",
        "classes#class=1": "a class is given as",
        "plain#label=0": "knows no classes",
        "vectors": "of the type 'identity', which are not supported",
    }
    for name, sentence in sentences.items():
        with pytest.raises(ValueError, match=sentence):
            load_prior(tmp_path / name)
    assert split_label("a#label=2") == ("a", 2)


def test_a_folder_of_ones_own_priors(cache, tmp_path, monkeypatch, capsys):
    save(tmp_path / "mine" / "yeast", flat=True)
    (tmp_path / "mine" / "yeast" / "prior.json").write_text(json.dumps({"licence": "CC0-1.0", "patch": [16, 16]}))
    (tmp_path / "mine" / "unfinished").mkdir()
    monkeypatch.setenv(PRIORS_VARIABLE, str(tmp_path / "mine"))
    assert [info.name for info in list_priors()] == ["microscopy", "microscopy-m", "yeast"]
    assert find_prior("yeast") == tmp_path / "mine" / "yeast"
    monkeypatch.delenv(PRIORS_VARIABLE)
    assert own_priors().parts[-2:] == ("napari-diffprior", "priors")
    monkeypatch.setenv(PRIORS_VARIABLE, str(tmp_path / "mine"))
    monkeypatch.setenv("COLUMNS", "300")
    assert cli.run(["list"]) == 0
    out = capsys.readouterr().out
    for part in ("yeast", "CC0-1.0", "16 x 16", str(tmp_path / "mine" / "yeast")):
        assert part in out


def test_check_prints_the_card(capsys, tmp_path):
    assert cli.run(["check", "prior", "microscopy"]) == 0
    out = capsys.readouterr().out
    for part in ("sigma_min", "parameters", "# Diffusion prior `microscopy`", "CC0-1.0", "| noise sigma | error |", "## Limits"):
        assert part in out
    save(tmp_path / "plain")
    assert (
        cli.run(["check", "prior", str(tmp_path / "plain"), "--samples", "4", "--grid", str(tmp_path / "grid.png"), "--json"])
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert report["channels"] == 1
    assert set(report["samples"]) == {"count", "mean", "std"}
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    assert cli.run(["check", "prior", str(tmp_path / "plain"), "--grid", str(tmp_path / "grid.png")]) == 2
