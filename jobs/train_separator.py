#!/usr/bin/env python
"""Train a separator q(s | m) under regime A, B or C.

Alone, with this checkout in a cluster, or in a cluster that was started here:

    python jobs/train_separator.py --preset smoke
    ray job submit --working-dir . -- python jobs/train_separator.py --preset smoke
    ray job submit jobs/train_separator.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout works without being installed

from vsep_ray.cluster.runtime.main import main
from vsep_ray.presets import TRAIN_SEPARATOR, TrainSeparatorConfig

if __name__ == "__main__":
    main(TrainSeparatorConfig, TRAIN_SEPARATOR, "vsep_ray.cluster.train.separator", trains=True)
