#!/usr/bin/env python
"""Cut a data set into a crop store, which training reads. Without arguments: toy waves, in seconds.

    python jobs/prepare_crops.py
    ray job submit --working-dir . -- python jobs/prepare_crops.py
    ray job submit jobs/prepare_crops.py
    python jobs/prepare_crops.py --preset music --dataset musdb18 --root /data/musdb18
    python jobs/prepare_crops.py --dataset stems --root /data/songs --map bass='bassguitar.*' other='horns.*'

A folder per source, with clips from several collections (the first pair that matches a file counts):

    python jobs/prepare_crops.py --dataset sources --root /data/train --crop.length 16384 \
        --map vocals=album/vocals drums=album/drums bass=album/bass other=album/other \
        vocals=solo_singing bass=bass_notes bass='one_shots/bass_*' other='one_shots/guit_*' drums=one_shots

    python jobs/prepare_crops.py --dataset manifest --root s3://bucket/songs.csv --storage s3://bucket/vsep
    python jobs/prepare_crops.py --dataset slakh --root /data/slakh --map bass=bass drums=drums other='*'

The same command again does only what is missing. Files that cannot be used are listed, with the reason, in
<output>/_quarantine.parquet; the rest goes on. Exit 1 if more than --max-failed of the tracks are in it, 2 if
a source has nothing left to train on.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout works without being installed

from vsep_ray.cluster.runtime.main import main
from vsep_ray.presets import PREPARE_CROPS, PrepareCropsConfig

if __name__ == "__main__":
    main(PrepareCropsConfig, PREPARE_CROPS, "vsep_ray.cluster.prepare_crops")
