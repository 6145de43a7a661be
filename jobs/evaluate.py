#!/usr/bin/env python
"""Score a separator between mixture (floor) and oracle mask (ceiling), and make a page to listen to.

    python jobs/evaluate.py
    python jobs/evaluate.py --dataset stems --root /data/song --map bass='bass*' other='[chl]*'
    ray job submit --working-dir . -- python jobs/evaluate.py --model models:/vsep-separator@champion
    ray job submit jobs/evaluate.py

Without --dataset the held-out crops of the latest crop store are scored. SI-SDR, its improvement over the
mixture, and SDR (museval v4), mean and median over tracks and sources; --bsseval adds SIR, ISR and SAR.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout works without being installed

from vsep_ray.cluster.runtime.main import main
from vsep_ray.presets import EVALUATE, EvaluateConfig

if __name__ == "__main__":
    main(EvaluateConfig, EVALUATE, "vsep_ray.cluster.evaluate.job")
