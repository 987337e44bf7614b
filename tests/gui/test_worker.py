import time
from threading import Event

import numpy as np
import pytest
import torch

from napari_diffprior.axes import Layout
from napari_diffprior.gui import worker
from napari_diffprior.gui.worker import Request, RestorationFailed, restore_steps
from napari_diffprior.recipe import Recipe
from napari_diffprior.restoration import Restoration


@pytest.fixture
def request_():
    return Request(np.ones((4, 5)), None, None, Layout("yx", (4, 5)), Recipe(samples=1))


def drain(steps):
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return seen, end.value


def test_progress_is_throttled(fake, request_):
    fake.steps, fake.seconds = 1500, 0.001
    started = time.monotonic()
    seen, result = drain(restore_steps(request_, Event()))
    seconds = time.monotonic() - started
    assert isinstance(result, Restoration)
    assert 3 <= len(seen) <= seconds / worker.PROGRESS_SECONDS + 1
    assert sum(one.preview is not None for one in seen) <= seconds / worker.PREVIEW_SECONDS + 1
    assert any(one.preview is not None for one in seen)


def test_stop_ends_it_and_closes_the_core(fake, request_):
    fake.steps, fake.seconds = 1000, 0.005
    stop = Event()
    steps = restore_steps(request_, stop)
    next(steps)
    before = fake.seen
    stop.set()
    _, result = drain(steps)
    assert result is None
    assert fake.seen <= before + 1
    assert fake.closed == 1


def test_closing_it_closes_the_core(fake, request_):
    fake.steps, fake.seconds = 1000, 0.005
    steps = restore_steps(request_, Event())
    next(steps)
    steps.close()
    assert fake.closed == 1


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()], ids=["torch", "python"])
def test_memory_error_says_what_helps(fake, request_, error):
    fake.error = error
    with pytest.raises(RestorationFailed, match="fewer samples"):
        drain(restore_steps(request_, Event()))
    assert fake.closed == 1


def test_runtime_error_is_passed_on(fake, request_):
    fake.error = RuntimeError("mat1 and mat2 differ\nmore")
    with pytest.raises(RestorationFailed, match=r"\(mat1 and mat2 differ\)"):
        drain(restore_steps(request_, Event()))
