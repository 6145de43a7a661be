#!/usr/bin/env bash
# All that a GPU is wanted for, in at most five minutes: the tests of this folder, then a table of speeds.
#
#   tests/gpu/run.sh [--device cpu]
#
# It needs PyTorch 2.11 to 2.13 and what else requirements.txt lists, and neither Ray nor MLflow. With
# --device cpu it is tried where there is no GPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
device=cuda
case "${1-}" in --device) device="${2:?cuda or cpu}" ;; "") ;; *) echo "unknown: $1" >&2; exit 2 ;; esac

export VSEP_TEST_DEVICE="$device" PYTHONPATH="$PWD" OMP_NUM_THREADS=1
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
