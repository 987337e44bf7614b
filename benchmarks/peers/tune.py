"""Weights of deepinv's methods for this prior: the best by PSNR with the truth in hand, on a small grid.

    OMP_NUM_THREADS=2 benchmarks/peers/.venv/bin/python benchmarks/peers/tune.py --tasks scattered deblur

What it finds goes into WEIGHTS in methods.py: its defaults were chosen for other networks and sizes.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from typing import Any

from compare import declare_torchvision_operators

GRIDS: dict[str, list[dict[str, Any]]] = {
    "dps": [{"guidance": "norm", "weight": weight} for weight in (1.0, 3.0, 10.0, 30.0)]
    + [{"guidance": "annealed", "weight": weight} for weight in (0.3, 1.0, 3.0, 5.0, 7.0, 10.0)],
    "diffpir": [
        {"lambda_": weight, "zeta": share} for weight, share in itertools.product((0.3, 1.0, 3.0, 7.0, 20.0), (0.1, 0.5, 1.0))
    ],
}


def main() -> None:
    """Print the PSNR of each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=list(GRIDS), choices=list(GRIDS))
    parser.add_argument("--tasks", nargs="+", default=["scattered", "deblur"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--calls", type=int, default=30)
    options = parser.parse_args()
    declared = declare_torchvision_operators()
    from methods import Problem, peer

    from napari_diffprior.metrics import psnr

    for task, method in itertools.product(options.tasks, options.methods):
        problem = Problem.of(
            task, options.size, prior="microscopy", calls=options.calls, seed=0, precision="bfloat16", untiled=True
        )
        for setting in GRIDS[method]:
            restored = peer(method, **setting)(problem)
            sys.stdout.write(f"{method} {task} {setting} {psnr(restored, problem.task.reference):.2f} dB\n")
            sys.stdout.flush()
    del declared


if __name__ == "__main__":
    main()
