"""Calls through a dask scheduler: this process, or a cluster; the only file that imports dask.distributed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import numpy as np

from .plane import poll

RETRIES = 3
PATIENCE = 0.1  # seconds after which a cluster is asked again, and a cancel is looked for
CANCELLED: ContextVar[Callable[[], bool] | None] = ContextVar("cancelled", default=None)  # of a call in this process
Runner = Callable[[Sequence[Any], Callable[[], bool] | None], Iterator[Any]]


def later(function: Callable[..., Any], setting: Any, *parts: Any) -> Any:
    """A call for a runner; dask arrays and lazy parts among its arguments are computed where it runs."""
    from dask.delayed import delayed

    return delayed(function, pure=False)(delayed(setting, traverse=False), *parts)


def lazy_part(array: Any, index: tuple[int | slice, ...]) -> Any:
    """Part of an array of any kind, which is read where the call runs."""
    from dask.base import is_dask_collection
    from dask.delayed import delayed

    if isinstance(array, np.ndarray) or is_dask_collection(array):
        return array[index]
    return delayed(_fetch, pure=False)(delayed(array, traverse=False), index)


def _fetch(array: Any, index: tuple[int | slice, ...]) -> np.ndarray[Any, Any]:
    return np.asarray(array[index])


@contextmanager
def runner(address: str | None) -> Generator[Runner, None, None]:
    """What runs calls and yields their results as they come.

    Parameters
    ----------
    address : str, optional
        Of a dask scheduler; by default the active client's cluster, or else this process, one call after another.

    Raises
    ------
    ValueError
        If there is no scheduler at the address, or dask.distributed is not installed.
    """
    if address is None:
        client = _active_client()
        yield _here if client is None else partial(_on_cluster, client)
        return
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise ValueError("a scheduler needs the extra: pip install 'napari-diffprior[distributed]'.") from error
    try:
        client = Client(address, timeout=10)
    except (OSError, TimeoutError, ValueError) as error:
        raise ValueError(f"there is no dask scheduler at {address}: {error}.") from error
    with client:
        yield partial(_on_cluster, client)


def _active_client() -> Any:
    if "distributed" not in sys.modules:  # nobody can have made one
        return None
    from dask.distributed import default_client

    try:
        client = default_client()
    except ValueError:
        return None
    return client if client.status == "running" else None  # one that found no scheduler stays the default


def _here(calls: Sequence[Any], cancelled: Callable[[], bool] | None) -> Iterator[Any]:
    from dask.base import compute

    for call in calls:
        poll(cancelled)
        token = CANCELLED.set(cancelled)
        try:
            result = compute(call, scheduler="synchronous")[0]
        finally:
            CANCELLED.reset(token)
        yield result


def _on_cluster(client: Any, calls: Sequence[Any], cancelled: Callable[[], bool] | None) -> Iterator[Any]:
    """All calls at once; those of a lost worker are made again by another."""
    from dask.distributed import as_completed

    futures = client.compute(list(calls), retries=RETRIES)
    done = as_completed(futures)
    try:
        while done.count():
            poll(cancelled)
            if not done.has_ready():
                time.sleep(PATIENCE)
                continue
            for future in done.next_batch(block=False):
                yield future.result()
    finally:
        client.cancel(futures)
