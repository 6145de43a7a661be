"""MUSDB18 (``.stem.mp4``, decoded by the musdb package) and MUSDB18-HQ (wav), with musdb's train, valid and
test tracks.

The published mixture went through mastering and is not the sum of the stems; it is kept beside them.
"""

import importlib.util
import shutil
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from vsep_ray.audio.dsp import Audio, map_channels, resample
from vsep_ray.audio.formats import AudioError
from vsep_ray.config import UserError
from vsep_ray.data import storage
from vsep_ray.data.crops import PUBLISHED
from vsep_ray.data.shards import BadFileError
from vsep_ray.data.track import Stem, Track

ENDING = ".stem.mp4"
STREAMS = (PUBLISHED, "drums", "bass", "other", "vocals")
"""The streams of a stem file, in order."""


def stem_tracks(root: str) -> list[Track]:
    """The tracks of MUSDB18: ``<root>/{train,test}/<artist> - <title>.stem.mp4``.

    Raises:
        UserError: there is none, or ffmpeg is missing.
    """
    require_ffmpeg()
    tracks = []
    for subset in ("train", "test"):
        for name in _list(root, subset):
            if name.endswith(ENDING):
                uri = storage.join(root, subset, name)
                title = name.removesuffix(ENDING)
                sources = tuple(Stem(s, (uri,)) for s in STREAMS[1:])
                tracks.append(Track(title, uri, sources, _split(subset, title)))
    return _some(tracks, root, f"<artist> - <title>{ENDING}")


def wav_tracks(root: str) -> list[Track]:
    """The tracks of MUSDB18-HQ: ``<root>/{train,test}/<artist> -
    <title>/{mixture,drums,bass,other,vocals}.wav``.

    Raises:
        UserError: there is none.
    """
    tracks = []
    for subset in ("train", "test"):
        folders = sorted({PurePosixPath(n).parts[0] for n in _list(root, subset) if n.count("/") == 1})
        for title in folders:
            folder = storage.join(root, subset, title)
            sources = tuple(Stem(s, (storage.join(folder, f"{s}.wav"),)) for s in STREAMS[1:])
            tracks.append(Track(title, storage.join(folder, "mixture.wav"), sources, _split(subset, title)))
    return _some(tracks, root, "<artist> - <title>/{mixture,drums,bass,other,vocals}.wav")


def load_stems(track: Track, sample_rate: int, channels: int) -> dict[str, Audio]:
    """The streams of a stem file, (C, T) at ``sample_rate`` (Hz) and ``channels``, decoded to 16 bit by
    musdb.

    The published mixture is returned under `PUBLISHED`. HQ tracks are loaded by `stems.load`.

    Raises:
        BadFileError: the file is not there, damaged, or does not hold five streams.
        UserError: ffmpeg is missing.
    """
    require_ffmpeg()
    try:
        with storage.read_local(track.uri) as path:
            path.open("rb").close()  # a missing or forbidden file in the system's words, not in ffmpeg's
            audio, rate = _decode(path)
    except OSError as error:
        raise BadFileError(track.uri, AudioError("read", error.strerror or str(error))) from error
    except AudioError as error:
        raise BadFileError(track.uri, error) from error
    parts = (map_channels(stream.T.astype(np.float32), channels) for stream in audio)
    return {s: resample(part, rate, sample_rate) for s, part in zip(STREAMS, parts, strict=True)}


def require_ffmpeg() -> None:
    """Check for the programs that musdb calls.

    Raises:
        UserError: ffmpeg or ffprobe is not on the PATH.
    """
    missing = [name for name in ("ffmpeg", "ffprobe") if shutil.which(name) is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} not found, which MUSDB18 stem files need on every node; "
            "install ffmpeg (apt-get install ffmpeg, or brew install ffmpeg)"
        )


def validation_tracks() -> frozenset[str]:
    """The names of the tracks of subset train that musdb sets aside for validation."""
    # found, not imported: importing musdb fails where ffmpeg is missing, and HQ does not need it
    spec = importlib.util.find_spec("musdb")
    assert spec is not None and spec.submodule_search_locations, "musdb is a dependency of this package"
    config = Path(spec.submodule_search_locations[0], "configs", "mus.yaml")
    return frozenset(yaml.safe_load(config.read_text())["validation_tracks"])


def _decode(path: Path) -> tuple[np.ndarray, int]:
    import ffmpeg
    import musdb

    try:
        track = musdb.MultiTrack(path=str(path), name=path.name, stem_id=0, is_wav=False)
        audio, rate = track.stems, int(track.rate)
    except ffmpeg.Error as error:
        raise AudioError(
            "decode", error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        ) from error
    except Exception as error:  # whatever else musdb and stempeg make of a damaged file
        raise AudioError("decode", f"{type(error).__name__}: {error}") from error
    if len(audio) != len(STREAMS) or not audio.shape[1]:
        raise AudioError("decode", f"expected {len(STREAMS)} streams of audio, got shape {audio.shape}")
    return audio, rate


def _split(subset: str, title: str) -> str:
    return "valid" if subset == "train" and title in validation_tracks() else subset


def _list(root: str, subset: str) -> list[str]:
    folder = storage.join(root, subset)
    return storage.list_files(folder) if storage.is_directory(folder) else []


def _some(tracks: list[Track], root: str, layout: str) -> list[Track]:
    if not tracks:
        raise UserError(f"no MUSDB tracks in {root!r}; expected train/{layout} and test/{layout}")
    return tracks
