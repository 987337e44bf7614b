"""Stacks on a dask scheduler: the same bytes wherever the planes are restored, and a lost worker is no loss."""

from __future__ import annotations

import os
import sys
import threading
import time
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
from napari_diffprior.plane import Cancelled, run_to_end
from napari_diffprior.priors.analytic import GaussianPrior
from napari_diffprior.restoration import make_recipe
from napari_diffprior.stored import restore_stored
from napari_diffprior.stream import restore_chunks

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
    from dask.distributed import Client

    cluster.scale(workers)
    with Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=60)
    array = open_image(stored)[0]
    image = array if workers == 1 else dask.array.from_array(array, chunks=(1, 1, 2, 12, 7))
    output, seen = tmp_path / "out.zarr", tmp_path / "seen"
    restore_to_zarr(
        image, output, np.eye(12, 13), prior=Noted(seen), calibration=PLACE, scheduler=cluster.scheduler_address, **SETTINGS
    )
    assert file_hash(output / "0") == file_hash(local / "0")
    assert len({note.name.split()[0] for note in seen.iterdir()}) == workers


class Noted(GaussianPrior):
    """Notes each of its calls in a folder, and by which process."""

    def __init__(self, folder: Path) -> None:
        super().__init__(torch.full((1, 12, 13), 0.3))
        self.folder = folder
        folder.mkdir()

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        (self.folder / f"{os.getpid()} {time.time_ns()}").touch()
        time.sleep(0.05)  # long enough for all workers to be asked
        return super().__call__(x, sigma)


class Deadly(Noted):
    """Kills the worker that makes the tenth call: three planes have three steps each, and more follow."""

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        died = self.folder.with_name("died")
        if not died.exists() and len(list(self.folder.iterdir())) >= 9:
            died.touch()
            os._exit(1)
        return super().__call__(x, sigma)


def test_a_killed_worker_does_not_end_the_run(cluster: Any, stored: Path, local: Path, tmp_path: Path) -> None:
    from dask.distributed import Client

    output = tmp_path / "out.zarr"
    with Client(cluster):  # an active client is found without an address
        restore_to_zarr(
            open_image(stored)[0], output, np.eye(12, 13), prior=Deadly(tmp_path / "seen"), calibration=PLACE, **SETTINGS
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


def test_a_cancel_does_not_wait_for_the_plane(stored: Path, tmp_path: Path) -> None:
    counted = Failing(100)
    run = restore_chunks(
        open_image(stored)[0],
        {"mean": tmp_path / "out.zarr"},
        recipe=make_recipe(**SETTINGS),
        prior=counted,
        cancelled=lambda: counted.left <= 95,
    )
    with pytest.raises(Cancelled):
        list(run)
    assert counted.left == 95  # the second step of the second plane
    assert not list(tmp_path.iterdir())  # no later run knows it by a name


@pytest.mark.parametrize("keep", [None, True])
def test_quantiles_are_those_of_a_script(stack: Any, tmp_path: Path, keep: bool | None) -> None:
    settings = {**SETTINGS, "samples": 20, "keep_samples": keep}
    expected = restore(stack[:1], axes="tczyx", prior=prior(), **settings)
    outputs = {"mean": tmp_path / "out.zarr", "low": tmp_path / "low.zarr"}
    list(restore_chunks(stack[:1], outputs, recipe=make_recipe(**settings), prior=prior()))
    np.testing.assert_array_equal(read_image(tmp_path / "low.zarr")[0], expected.quantile(0.05))


@pytest.mark.parametrize("samples", [1, 2])
def test_a_stored_result_is_that_of_a_script(stack: Any, tmp_path: Path, samples: int) -> None:
    image, settings = np.swapaxes(stack, 0, 2), {**SETTINGS, "samples": samples}
    recipe = make_recipe(**settings, axes="zctyx")
    run = restore_stored(dask.array.from_array(image), tmp_path / "a.ome.zarr", recipe=recipe, prior=prior())
    result = run_to_end(run)
    expected = restore(image, axes="zctyx", prior=prior(), **settings)
    np.testing.assert_array_equal(result.mean, expected.mean)
    np.testing.assert_array_equal(result.std, expected.std)
    assert (result.misfit, result.calls, result.reason) == (expected.misfit, expected.calls, expected.reason)
    assert result.place == expected.place
    written = sorted(entry.name for entry in tmp_path.iterdir())
    assert written == (["a.ome.zarr", "a_std.ome.zarr"] if samples > 1 else ["a.ome.zarr"])


def test_a_stored_result_has_all_that_was_asked_for(stack: Any, tmp_path: Path) -> None:
    settings = {**SETTINGS, "samples": 20, "quantiles": True, "keep_samples": True}
    for seed in (0, 1):  # the second one is not what dask remembers of the first
        recipe = make_recipe(**settings, seed=seed)
        result = run_to_end(restore_stored(stack[0, 0], tmp_path / "a.zarr", recipe=recipe, prior=prior()))
        expected = restore(stack[0, 0], prior=prior(), **settings, seed=seed)
        for kind in ("mean", "std", "samples", "low", "high"):
            np.testing.assert_array_equal(result.image(kind), expected.image(kind))
    assert len(list(tmp_path.iterdir())) == 5


def test_a_stack_without_anything_to_restore_leaves_nothing_behind(tmp_path: Path) -> None:
    outputs, recipe = {"mean": tmp_path / "a.zarr"}, make_recipe(**SETTINGS)
    with pytest.raises(ValueError, match="there is nothing to restore"):
        list(restore_chunks(np.zeros((2, 12, 13)), outputs, recipe=recipe, prior=prior(), token="named"))
    assert not list(tmp_path.iterdir())


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


def test_a_cluster_is_cancelled_while_it_works(cluster: Any, stored: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    run = restore_chunks(
        open_image(stored)[0],
        {"mean": tmp_path / "out.zarr"},
        recipe=make_recipe(**SETTINGS),
        prior=Endless(),
        scheduler=cluster.scheduler_address,
        cancelled=stop.is_set,
    )
    threading.Timer(1.0, stop.set).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        list(run)
    assert time.monotonic() - started < 15
    assert not list(tmp_path.iterdir())


class Endless(GaussianPrior):
    """Takes longer than anybody waits."""

    def __init__(self) -> None:
        super().__init__(torch.full((1, 12, 13), 0.3))

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        time.sleep(20)
        return super().__call__(x, sigma)
