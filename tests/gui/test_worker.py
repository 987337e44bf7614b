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
    fake.steps, fake.seconds = 2500, 0.001
    started = time.monotonic()
    seen, result = drain(restore_steps(request_, Event()))
    seconds = time.monotonic() - started
    assert isinstance(result, Restoration)
    assert 3 <= len(seen) <= seconds / worker.PROGRESS_SECONDS + 1
    assert sum(one.preview is not None for one in seen) <= seconds / worker.PREVIEW_SECONDS + 1
    assert any(one.preview is not None for one in seen)


def test_live_images_are_as_seldom_as_drawing_them_is_slow(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(worker.time, "monotonic", lambda: now[0])
    pace = worker.LivePace()

    def seen(until):
        times = []
        while now[0] < until:
            now[0] += 0.25
            if pace.due():
                times.append(now[0])
        return times

    assert seen(4) == [1, 2, 3, 4]
    pace.took(0.1)
    assert seen(20) == [9, 14, 19]
    pace.took(0.001)
    assert seen(22) == [20.25, 21.25]


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
