"""This package beside deepinv and diffusers: seconds, PSNR and peak memory, in turns A B A B.

Each side is a process of its own that loads and warms up once and then restores when asked to; while one works the
other waits. Seconds are medians over the repetitions, memory is the peak of the side's process. By default the peer
runs as it comes, in float32, and we run as we come; ``--peer-precision bfloat16`` gives the peer our precision too.

    benchmarks/peers/setup.sh
    OMP_NUM_THREADS=2 benchmarks/peers/.venv/bin/python benchmarks/peers/compare.py --json peers.json
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DIVISOR = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes there, in KiB elsewhere


def declare_torchvision_operators() -> Any:
    """Operators that torchvision describes on import; its compiled part, built for CUDA, does not load on a CPU torch."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library  # the declarations live as long as this


def serve(pair: str, side: int, problem_settings: dict[str, Any]) -> None:
    """Load, say so, and restore once for each line on standard input."""
    declared = declare_torchvision_operators()
    from methods import PAIRS, Problem

    from napari_diffprior.metrics import psnr

    problem = Problem.of(**problem_settings)
    restore = PAIRS[pair][side]
    answers = sys.stdout
    sys.stdout = sys.stderr  # what the libraries print must not mix with the answers
    for _ in sys.stdin:
        started = time.perf_counter()
        restored = restore(problem)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / DIVISOR
        answer = {"seconds": seconds, "psnr": psnr(restored, problem.task.reference), "mebibytes": peak}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    del declared


class Side:
    """A process that restores on request."""

    def __init__(self, pair: str, side: int, settings: dict[str, Any]) -> None:
        command = [sys.executable, __file__, "--serve", json.dumps([pair, side, settings])]
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, cwd=Path(__file__).parent
        )
        self.runs: list[dict[str, float]] = []

    def restore(self) -> dict[str, float] | None:
        """One restoration; None if the process has died, with its last line in ``failure``."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        return json.loads(line) if line else None

    def failure(self) -> str:
        """Last line that the process wrote before it ended."""
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        return lines[-1] if lines else "it ended without a word"

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.errors.close()


def compare(pair: str, task: str, options: argparse.Namespace) -> dict[str, Any]:
    """One row: both sides in turns, the first turn of each being the warm-up."""
    common = {"name": task, "size": options.size, "prior": options.prior, "seed": options.seed}
    ours_calls = options.ours or (options.calls if pair != "decoupled" else options.few)
    sides = [
        Side(pair, 0, {**common, "calls": ours_calls, "precision": options.precision, "untiled": options.untiled}),
        Side(pair, 1, {**common, "calls": options.calls, "precision": options.peer_precision, "untiled": True}),
    ]
    failed = ""
    for turn in range(options.repeats + 1):
        for side in sides:
            answer = side.restore()
            if answer is None:
                failed = failed or f"{'ours' if side is sides[0] else 'peer'}: {side.failure()}"
            elif turn:
                side.runs.append(answer)
        if failed:
            break
    for side in sides:
        side.close()
    row: dict[str, Any] = {"method": pair, "task": task, "calls": [ours_calls, options.calls], "failed": failed}
    if not failed:
        for name, side in zip(("ours", "peer"), sides, strict=True):
            row |= {f"{name}_{key}": statistics.median(run[key] for run in side.runs) for key in side.runs[0]}
            row[f"{name}_all_seconds"] = [round(run["seconds"], 4) for run in side.runs]
        row["speedup"] = row["peer_seconds"] / row["ours_seconds"]
        row["memory_ratio"] = row["ours_mebibytes"] / row["peer_mebibytes"]
    return row


def line(row: dict[str, Any]) -> str:
    """Row as text."""
    head = f"{row['method']:24s} {row['task']:10s}"
    if row["failed"]:
        return f"{head} {row['failed']}"
    return (
        head
        + " ".join(
            f"  {name} {row['calls'][i]:4d} calls {row[f'{name}_seconds']:7.2f} s {row[f'{name}_psnr']:6.2f} dB "
            f"{row[f'{name}_mebibytes']:6.0f} MiB"
            for i, name in enumerate(("ours", "peer"))
        )
        + f"  peer/ours {row['speedup']:.2f}x  memory ours/peer {row['memory_ratio']:.2f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", help="pairs by name; by default all")
    parser.add_argument("--tasks", nargs="+", help="by default those of each pair")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--calls", type=int, default=30, help="network calls of each side")
    parser.add_argument("--ours", type=int, help="calls of our side, if not as many as the peer's")
    parser.add_argument("--few", type=int, default=20, help="calls of decoupled, beside the peer's DPS at --calls")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prior", default="microscopy")
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--peer-precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--untiled", action="store_true", help="our network too sees the whole image at once")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*json.loads(options.serve))
        return
    from methods import PAIRS

    rows = []
    for pair in options.methods or PAIRS:
        for task in options.tasks or PAIRS[pair][2]:
            rows.append(compare(pair, task, options))
            print(line(rows[-1]), flush=True)
    if options.json:
        from importlib.metadata import version

        from napari_diffprior.bench.speed import machine

        about = machine() | {"deepinv": version("deepinv")}
        plain = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
        options.json.write_text(json.dumps({"machine": about, "options": plain, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
