"""Where and how the network runs, and why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Precision = Literal["auto", "float32", "bfloat16"]
KEPT_MEMORY = 256 * 2**20  # bytes that a process on the CPU holds on to between calls of the network
LARGEST_KEPT = 32 * 2**20  # bytes of one block of them; glibc takes no more
FEW_VALUES = 2**18  # in a tensor, below which a second thread takes longer to wake than it saves


@dataclass(frozen=True)
class Device:
    """A torch device and the reason it was chosen, for example ``cpu`` because "torch has no CUDA"."""

    name: str
    reason: str
    precision: Literal["float32", "bfloat16"]


def choose_device(wanted: str = "auto", precision: Precision = "auto") -> Device:
    """Resolve a device and a precision.

    Parameters
    ----------
    wanted : str
        "auto", or a torch device such as "cpu", "cuda", "cuda:1", "mps".
    precision : {"auto", "float32", "bfloat16"}
        "auto" takes bfloat16 where the hardware multiplies it natively.

    Raises
    ------
    ValueError
        If the device is unknown to torch or not there.
    """
    import torch

    name, reason = (wanted, "chosen") if wanted != "auto" else _best()
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"the device {wanted!r} cannot be used here: choose auto or cpu.") from error
    if precision == "auto":
        return Device(name, reason, "bfloat16" if _has_bfloat16(name) else "float32")
    return Device(name, reason, precision)


def _best() -> tuple[str, str]:
    import torch

    if torch.cuda.is_available():
        return "cuda", torch.cuda.get_device_name()
    if torch.backends.mps.is_available():
        return "mps", "Apple GPU"
    return "cpu", "no GPU found" if torch.backends.cuda.is_built() else "torch has no CUDA"


def _has_bfloat16(name: str) -> bool:
    import torch

    if name.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if name != "cpu":
        return False
    capabilities = torch.backends.cpu.get_cpu_capability()
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return "AVX512" in capabilities and probe is not None and bool(probe())


def let_threads_sleep() -> None:
    """Let torch's threads sleep while they wait for each other, unless the environment says otherwise.

    They spin by default, and beside another busy process everything takes many times as long. Where nothing else runs, waking
    them costs a fifth of the time; so GNU's spin for a few microseconds first. It counts for a torch that is imported later.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def keep_memory() -> None:
    """Let the C library keep freed memory for the next layer of a network, instead of giving it back to be cleared anew.

    Only glibc has this setting (mallopt); elsewhere nothing happens.
    """
    import ctypes
    import platform

    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(-3, LARGEST_KEPT)  # M_MMAP_THRESHOLD
        library.mallopt(-1, KEPT_MEMORY)  # M_TRIM_THRESHOLD


@contextmanager
def few_threads(like: Tensor) -> Iterator[None]:
    """One thread on the CPU for many short operations on tensors as small as ``like``."""
    import torch

    threads = torch.get_num_threads()
    if threads == 1 or like.device.type != "cpu" or like.numel() > FEW_VALUES:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
