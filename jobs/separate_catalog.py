#!/usr/bin/env python
"""Separate every track of a catalog: a folder, glob, CSV or Parquet manifest, or one file.

    python jobs/separate_catalog.py --catalog /data/music
    ray job submit --working-dir . -- python jobs/separate_catalog.py --catalog s3://bucket/music --output s3://bucket/stems
    ray job submit -- jobs/separate_catalog.py --catalog /data/music

The same command again does only what is missing; --retry-failed tries the failed tracks again, --overwrite
all. Stems have the sample rate, channels and length of their track and sum to it; --sources vocals rest
writes two of them, --sources six keeps guitar and piano apart, --samples 8 says how far to trust each. The
model is the one that --model names, else your newest, else the one that comes with vsep_ray. What happened to
each track is in <output>/_ledger/ledger.parquet.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout works without being installed

from vsep_ray.cluster.runtime.main import main
from vsep_ray.presets import SEPARATE_CATALOG, SeparateCatalogConfig

if __name__ == "__main__":
    main(SeparateCatalogConfig, SEPARATE_CATALOG, "vsep_ray.cluster.separate.job")
