#!/usr/bin/env bash
# An environment of its own for the peers, in benchmarks/peers/.venv: deepinv 0.5.0 on the CPU build of torch.
# torchvision comes without its dependencies: no build of it matches a CPU torch, and it must not replace that one
# (compare.py declares the operators that its import looks for).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
constraints=../../constraints.txt
python=.venv/bin/python

"${PYTHON:-python3}" -m venv --clear .venv
"$python" -m pip install --quiet -c "$constraints" torch numpy pillow
"$python" -m pip install --quiet --no-deps 'torchvision==0.28.*' 'deepinv==0.5.0'
# What deepinv imports, and what the restoring half of this package does.
"$python" -m pip install --quiet -c "$constraints" \
    einops h5py matplotlib natsort requests torchmetrics tqdm \
    annotated-types diffusers platformdirs pydantic safetensors scikit-image scipy tifffile
"$python" -m pip install --quiet --no-deps -e ../..
"$python" compare.py --help >/dev/null
printf 'ready: %s benchmarks/peers/compare.py --help\n' "benchmarks/peers/$python"
