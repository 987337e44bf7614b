"""Stacks on a dask scheduler: the same bytes wherever the planes are restored, and a lost worker is no loss."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import dask.array
import numpy as np
import pytest
import torch
import zarr

from napari_diffprior import restore, restore_to_zarr
from napari_diffprior.io import Calibration, file_hash, open_image, read_image, read_metadata, write_zarr
from napari_diffprior.priors.analytic import GaussianPrior

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not know this file
PLACE = Calibration((3.0, 1.0, 0.5, 0.1, 0.2), ("s", "pixel", "um", "um", "um"), "tczyx", (0.0, 0.0, 1.0, 2.0, 3.0))
SETTINGS: dict[str, Any] = {"noise": 5.0, "steps": 3, "samples": 2, "device": "cpu"}


def prior() -> GaussianPrior:
    return GaussianPrior(torch.full((1, 12, 13), 0.3))


@pytest.fixture(scope="module")
def stack() -> Any:
    return np.random.default_rng(0).integers(0, 200, (2, 2, 2, 12, 13)).astype(">u2")


@pytest.fixture(scope="module")
def stored(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stack") / "stack.ome.zarr"
    write_zarr(path, stack.astype("uint16"), PLACE)
    return path


@pytest.fixture(scope="module")
def local(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("local") / "out.ome.zarr"
    mask = np.eye(12, 13)
    restore_to_zarr(
        open_image(stored)[0], output, mask, prior=prior(), calibration=PLACE, std=output.with_name("std.zarr"), **SETTINGS
    )
    return output


def test_the_same_as_in_memory(stack: Any, local: Path) -> None:
    expected = restore(stack, np.eye(12, 13), axes="tczyx", prior=prior(), **SETTINGS)
    mean, place, metadata = read_image(local)
    np.testing.assert_array_equal(mean, expected.mean)
    np.testing.assert_array_equal(read_image(local.with_name("std.zarr"))[0], expected.std)
    assert place == PLACE
    story = metadata["napari-diffprior"]
    assert story["misfit"] == expected.provenance["misfit"]
    assert len(story["planes"]) == 8
    assert story["planes"][3]["position"] == {"t": 0, "c": 1, "z": 1}
    assert sorted(entry.name for entry in local.parent.iterdir()) == ["out.ome.zarr", "std.zarr"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("dask.distributed", reason="the extra distributed is not installed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as made:
        yield made


@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_bytes_on_any_number_of_workers(workers: int, cluster: Any, stored: Path, local: Path, tmp_path: Path) -> None:
    cluster.scale(workers)
    array = open_image(stored)[0]
    image = array if workers == 1 else dask.array.from_array(array, chunks=(1, 1, 2, 12, 7))
    output = tmp_path / "out.zarr"
    restore_to_zarr(
        image, output, np.eye(12, 13), prior=prior(), calibration=PLACE, scheduler=cluster.scheduler_address, **SETTINGS
    )
    assert file_hash(output / "0") == file_hash(local / "0")


class Deadly(GaussianPrior):
    """Kills the worker that calls it first."""

    def __init__(self, marker: Path) -> None:
        super().__init__(torch.full((1, 12, 13), 0.3))
        self.marker = marker

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        if not self.marker.exists():
            self.marker.touch()
            os._exit(1)
        return super().__call__(x, sigma)


def test_a_killed_worker_does_not_end_the_run(cluster: Any, stored: Path, local: Path, tmp_path: Path) -> None:
    from dask.distributed import Client

    output = tmp_path / "out.zarr"
    with Client(cluster):  # an active client is found without an address
        restore_to_zarr(
            open_image(stored)[0], output, np.eye(12, 13), prior=Deadly(tmp_path / "died"), calibration=PLACE, **SETTINGS
        )
    assert (tmp_path / "died").exists()
    assert file_hash(output / "0") == file_hash(local / "0")


class Failing(GaussianPrior):
    """Fails from a call on."""

    def __init__(self, calls: int) -> None:
        super().__init__(torch.full((1, 12, 13), 0.3))
        self.left = calls

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("broken")
        return super().__call__(x, sigma)


def test_a_run_that_ended_early_goes_on(stored: Path, local: Path, tmp_path: Path) -> None:
    from napari_diffprior.restoration import make_recipe
    from napari_diffprior.stream import restore_chunks

    outputs = {"mean": tmp_path / "out.zarr"}
    array, recipe = open_image(stored)[0], make_recipe(**SETTINGS)

    def run(prior: Any) -> None:
        for _ in restore_chunks(array, outputs, np.eye(12, 13), recipe=recipe, prior=prior, calibration=PLACE, token="stack"):
            pass

    with pytest.raises(RuntimeError, match="broken"):
        run(Failing(3 * 5 + 1))
    assert not outputs["mean"].exists()
    rest = Failing(3 * 3)  # three planes of three steps are left
    run(rest)
    assert rest.left == 0
    assert file_hash(outputs["mean"] / "0") == file_hash(local / "0")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.zarr"]


def test_a_mistake_leaves_nothing_behind(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mask has the shape"):
        restore_to_zarr(open_image(stored)[0], tmp_path / "a.zarr", np.eye(3), prior=prior(), **SETTINGS)
    with pytest.raises(ValueError, match="there is no dask scheduler"):
        restore_to_zarr(open_image(stored)[0], tmp_path / "a.zarr", scheduler="nonsense", prior=prior(), **SETTINGS)
    with pytest.raises(ValueError, match=r"at z = 0: .* NaN"):
        restore_to_zarr(np.full((2, 12, 13), np.nan), tmp_path / "a.zarr", prior=prior(), **SETTINGS)
    assert not list(tmp_path.iterdir())


def test_a_region_has_its_place(stored: Path, local: Path, tmp_path: Path) -> None:
    output = tmp_path / "part.zarr"
    region = {"t": (1, 2), "z": (1, 2)}
    restore_to_zarr(open_image(stored)[0], output, np.eye(12, 13), prior=prior(), calibration=PLACE, region=region, **SETTINGS)
    mean, place, _ = read_image(output)
    np.testing.assert_array_equal(mean, read_image(local)[0][1:2, :, 1:2])
    assert place.translate == (3.0, 0.0, 1.5, 2.0, 3.0)
    assert read_metadata(output)["napari-diffprior"]["recipe"]["region"] == {"t": [1, 2], "z": [1, 2]}
    assert isinstance(open_image(output)[0], zarr.Array)
