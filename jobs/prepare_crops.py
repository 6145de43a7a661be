#!/usr/bin/env python
"""Cut a data set into a crop store."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vsep_ray.cluster.data import plan, prepare
from vsep_ray.cluster.job import main
from vsep_ray.presets import PREPARE_CROPS, PrepareCropsConfig

if __name__ == "__main__":
    main(PrepareCropsConfig, PREPARE_CROPS, prepare, plan)
