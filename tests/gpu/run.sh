#!/usr/bin/env bash
# All that a GPU is wanted for, in at most five minutes: the tests of this folder, then a table of speeds.
#
#   tests/gpu/run.sh [--device cpu]
#
# It needs PyTorch 2.11 to 2.13 and what else requirements.txt lists, and neither Ray nor MLflow. With
# --device cpu it is tried where there is no GPU.
#
#   tests/gpu/run.sh train [--device cpu] [--minutes 9] [--out "$OUT"]
#
# trains a separator on a machine that is lent for minutes and has no network: it needs PyTorch, SciPy,
# pyarrow and safetensors there, and the folder .gpu, or $CARRIED, as tests/gpu/carry.sh makes it. It renders
# songs on all cores, trains for the time that is left, and leaves a parcel in OUT (25 MB for 5 M parameters),
# from which the next such stage goes on; `python -m gpu.parcel unpack` makes a checkpoint of it, for --start
# and --model.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export OMP_NUM_THREADS=1

train() {
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  cp -r "${CARRIED:-.gpu}/." "$work"
  python -m tarfile -e "$work/files.tar.xz" "$work"
  python -m pip install -q --no-index --no-deps --no-compile --target "$work/site" "$work"/wheels/*.whl
  export PYTHONPATH="$work/site:$PWD:$PWD/tests" LD_LIBRARY_PATH="$work/lib" HOMEBREW_PREFIX="$work"
  python -m gpu.train --carried "$work" "$@"
}

if [ "${1-}" = train ]; then
  shift
  train "$@"
  exit
fi

device=cuda
case "${1-}" in --device) device="${2:?cuda or cpu}" ;; "") ;; *) echo "unknown: $1" >&2; exit 2 ;; esac
export VSEP_TEST_DEVICE="$device" PYTHONPATH="$PWD"
# the suite's own conftest.py wants Ray's tests to have what they need
python -m pytest -m gpu --confcutdir=tests/gpu tests/gpu
if [ "$device" = cuda ]; then
  nvidia-smi --query-gpu=name,memory.total --format=csv,noheader
  python -m vsep_ray.cluster.benchmark.speed --device cuda --seconds 3 --compile
  python -m vsep_ray.cluster.benchmark.busy
else
  python -m vsep_ray.cluster.benchmark.speed --device cpu --seconds 1 --models "separator small-b" "prior small-flow"
  python -m vsep_ray.cluster.benchmark.busy --device cpu --songs 1 --seconds 12
fi
