#!/usr/bin/env python
"""Train one prior per source side by side; compare them by their cross-likelihoods.

Alone, with this checkout in a cluster, or in a cluster that was started here:

    python jobs/train_priors.py --preset smoke
    ray job submit --working-dir . -- python jobs/train_priors.py --preset smoke
    ray job submit jobs/train_priors.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout works without being installed

from vsep_ray.cluster.runtime.main import main
from vsep_ray.presets import TRAIN_PRIORS, TrainPriorsConfig

if __name__ == "__main__":
    main(TrainPriorsConfig, TRAIN_PRIORS, "vsep_ray.cluster.train.priors", trains=True)
