#!/usr/bin/env python
"""Compare the system with the bare work inside it, as a table: data, separation, training, memory.

Alone, with this checkout in a cluster, or in a cluster that was started here:

    python jobs/benchmark.py
    ray job submit --working-dir . -- python jobs/benchmark.py
    ray job submit jobs/benchmark.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout works without being installed

from vsep_ray.cluster.runtime.main import main
from vsep_ray.presets import BENCHMARK, BenchmarkConfig

if __name__ == "__main__":
    main(BenchmarkConfig, BENCHMARK, "vsep_ray.cluster.benchmark.job")
