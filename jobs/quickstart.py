#!/usr/bin/env python
"""Toy waves end to end: crops, priors, separators of regimes A and B, evaluation, a small catalog, MLflow.

Alone, with this checkout in a cluster, or in a cluster that was started here:

    python jobs/quickstart.py
    ray job submit --working-dir . -- python jobs/quickstart.py
    ray job submit jobs/quickstart.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout works without being installed

from vsep_ray.cluster.runtime.main import main
from vsep_ray.presets import QUICKSTART, QuickstartConfig

if __name__ == "__main__":
    main(QuickstartConfig, QUICKSTART, "vsep_ray.cluster.quickstart", trains=True)
