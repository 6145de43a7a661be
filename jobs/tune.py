#!/usr/bin/env python
"""Search beta, flow depth and other settings; ASHA stops early what falls behind; the same command resumes.

Alone, with this checkout in a cluster, or in a cluster that was started here:

    python jobs/tune.py --preset smoke
    ray job submit --working-dir . -- python jobs/tune.py --preset smoke
    ray job submit jobs/tune.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout works without being installed

from vsep_ray.cluster.runtime.main import main
from vsep_ray.presets import TUNE, TuneConfig

if __name__ == "__main__":
    main(TuneConfig, TUNE, "vsep_ray.cluster.tune.job", trains=True)
