"""Re-encodes the clips of a manifest that are trained on, to carry them: Opus, some 60 kbit/s per channel.

    python -m gpu.clips MANIFEST FOLDER

The folder gets the files and a manifest of its own. What the given one holds out does not travel.
"""

import csv
import sys
from pathlib import Path

from vsep_ray.audio import io
from vsep_ray.audio.resampling import resample
from vsep_ray.datasets.manifest import ManifestConfig

RATE = 48_000
"""Hz; Opus knows no 44.1 kHz."""


def carry(manifest, folder):
    """Writes the clips of split train, and returns their minutes."""
    folder.mkdir(parents=True, exist_ok=True)
    seconds = 0.0
    with (folder / "clips.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "source", "track", "split"])
        tracks = [track for track in ManifestConfig(root=manifest).find() if track.split == "train"]
        uses = [(track, *use) for track in tracks for use in track.uses]
        for number, (track, source, uri) in enumerate(uses):
            audio, rate = io.read(uri)
            io.write(folder / f"{number:04d}.opus", resample(audio, rate, RATE), RATE, format="opus")
            rows.writerow([f"{number:04d}.opus", source, track.id, "train"])
            seconds += audio.shape[1] / rate
    return seconds / 60


if __name__ == "__main__":
    print(f"{carry(sys.argv[1], Path(sys.argv[2])):.1f} minutes of clips")
