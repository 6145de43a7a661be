"""A music library of many kinds of files, some of them damaged, and what must be true of its stems."""

import itertools
import random
from pathlib import Path

import numpy as np
import soundfile
from damage import DAMAGES, RATE

from vsep_ray.audio import io

KINDS = [
    (".wav", "PCM_16"), (".wav", "FLOAT"), (".WAV", "PCM_24"), (".flac", "PCM_24"), (".ogg", "VORBIS"),
    (".mp3", "MPEG_LAYER_III"), (".aiff", "PCM_16"), (".opus", "OPUS"),
]  # fmt: skip
RATES = (8_000, 22_050, 44_100, 48_000, 96_000)
CHANNELS = (1, 2, 6)
NAMES = ("song {i}", "live/Łąka é {i}", "a.b/c.d.{i}", "深い/{i}" + "x" * 200)


def make_library(root, num, num_damaged, longest_seconds=2.0, seed=0):
    """Write ``num`` files, of ``longest_seconds`` at most; path below the root -> kind of damage, or ""."""
    rng, dice = np.random.default_rng(seed), random.Random(seed)
    kinds = itertools.cycle(
        kind for kind in DAMAGES if kind != "directory"
    )  # which no catalog takes for a file
    found = {}
    for i in range(num):
        kind = next(kinds) if i * num_damaged // num != (i + 1) * num_damaged // num else ""
        seconds = longest_seconds if i == 1 else 0.2 * (longest_seconds / 0.2) ** dice.random() ** 3
        name, path = _write(root, i, kind, seconds, rng)
        if kind:
            DAMAGES[kind][1](path)
        found[name] = kind
    return found


def check_stems(root, output, track, row):
    """A track's stems: rate, channels and exact length of the file, and their sum."""
    mixture, rate = io.read(Path(root, track))
    stems = [io.read(Path(output, name)) for name in row.stems]
    assert all(r == rate and audio.shape == mixture.shape for audio, r in stems), track
    assert (row.sample_rate, row.channels, row.samples) == (rate, *mixture.shape), track
    error = sum(audio.astype(np.float64) for audio, _ in stems) - row.gain * mixture
    assert np.abs(error).max() <= 2e-6 * max(1.0, np.abs(mixture).max()), track


def contents(folder):
    """Every file of an output folder but the ledger's own."""
    paths = [p for p in folder.rglob("*") if p.is_file() and "_ledger" not in p.relative_to(folder).parts]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


def _write(root, i, kind, seconds, rng):
    ending, subtype = (DAMAGES[kind][0], None) if kind else KINDS[i % len(KINDS)]
    rate, channels = (RATE, 1) if kind else (RATES[i % len(RATES)], CHANNELS[i % len(CHANNELS)])
    if ending == ".mp3":
        rate, channels = min(rate, 48_000), min(channels, 2)
    if ending == ".opus":
        rate = 48_000
    name = f"{NAMES[i % len(NAMES)].format(i=i)}{ending}"
    path = Path(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    level = 0.0 if i % 29 == 7 else 1.3 if subtype == "FLOAT" and i % 2 else 0.3  # silent, over full scale
    with soundfile.SoundFile(path, "w", rate, channels, subtype, format=_container(ending)) as file:
        left = max(1, round(seconds * rate))
        while left > 0:
            file.write(level * rng.uniform(-1, 1, (min(left, 65_536), channels)))
            left -= 65_536
    return name, path


def _container(ending):
    return {".opus": "OGG", ".mp3": "MP3"}.get(ending)
