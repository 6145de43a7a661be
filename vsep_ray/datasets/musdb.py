"""MUSDB18 (``.stem.mp4``, decoded by the musdb package) and MUSDB18-HQ (wav), with musdb's train, valid and
test tracks.

The published mixture went through mastering and is not the sum of the stems; it is kept beside them.
"""

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from typing_extensions import override

from vsep_ray import storage
from vsep_ray.audio.formats import SCARCE, AudioError
from vsep_ray.audio.io import BLOCK
from vsep_ray.audio.resampling import map_channels, rechunk, resample_blocks
from vsep_ray.config import UserError
from vsep_ray.datasets.dataset import FilesDataset
from vsep_ray.datasets.streams import BadFileError, Stream
from vsep_ray.datasets.track import PUBLISHED, CropConfig, Stem, Track

ENDING = ".stem.mp4"
STREAMS = (PUBLISHED, "drums", "bass", "other", "vocals")
"""The streams of a stem file, in order."""
SLACK_SECONDS = 0.1
"""How much less than a stream's stated duration may be decoded: encoders pad (s)."""


@dataclass(frozen=True)
class MUSDB18Config(FilesDataset):
    """MUSDB18: compressed stem files (.stem.mp4)."""

    has_splits = True
    needs_ffmpeg = True
    example = (f"train/Artist - Title{ENDING}",)

    @override
    def tracks(self, root: str) -> list[Track]:
        return stem_tracks(root)

    @override
    def open(self, track: Track, crop: CropConfig) -> dict[str, Stream]:
        return open_stems(track, crop)


@dataclass(frozen=True)
class MUSDB18HQConfig(FilesDataset):
    """MUSDB18-HQ: a folder of wav files per track."""

    has_splits = True
    example = tuple(f"train/Artist - Title/{s}.wav" for s in ("mixture", *STREAMS[1:]))

    @override
    def tracks(self, root: str) -> list[Track]:
        return wav_tracks(root)


def stem_tracks(root: str) -> list[Track]:
    """The tracks of MUSDB18: ``<root>/{train,test}/<artist> - <title>.stem.mp4``.

    Raises:
        UserError: ffmpeg is missing.
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
    return tracks


def wav_tracks(root: str) -> list[Track]:
    """The tracks of MUSDB18-HQ: ``<root>/{train,test}/<artist> -
    <title>/{mixture,drums,bass,other,vocals}.wav``.
    """
    tracks = []
    for subset in ("train", "test"):
        folders = sorted({PurePosixPath(n).parts[0] for n in _list(root, subset) if n.count("/") == 1})
        for title in folders:
            folder = storage.join(root, subset, title)
            sources = tuple(Stem(s, (storage.join(folder, f"{s}.wav"),)) for s in STREAMS[1:])
            tracks.append(Track(title, storage.join(folder, "mixture.wav"), sources, _split(subset, title)))
    return tracks


def open_stems(track: Track, crop: CropConfig) -> dict[str, Stream]:
    """The streams of a stem file, decoded to 16 bit by musdb, at the rate, channels and length of ``crop``.

    musdb decodes whole streams: five minutes take 0.5 GB on the way.

    The published mixture is among them under `PUBLISHED`. HQ tracks are opened by `streams.open_stems`.

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
        if error.errno in SCARCE:
            raise
        raise BadFileError(track.uri, AudioError("read", error.strerror or str(error))) from error
    except AudioError as error:
        raise BadFileError(track.uri, error) from error
    return {s: _stream(part, rate, crop) for s, part in zip(STREAMS, audio, strict=True)}


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


def _decode(path: Path) -> tuple[list[np.ndarray], int]:
    """The audio streams, int16 (T, C) each, and their rate (Hz)."""
    import ffmpeg
    import stempeg

    try:
        info = stempeg.Info(str(path))
        return [_decode_stream(path, info, i) for i in range(_five(info))], info.sample_rate(0)
    except AudioError:
        raise
    except ffmpeg.Error as error:
        words = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise AudioError("decode", words) from error
    except Exception as error:  # whatever else musdb and stempeg make of a damaged file
        raise AudioError("decode", f"{type(error).__name__}: {error}") from error


def _five(info: Any) -> int:
    if info.nb_audio_streams != len(STREAMS):
        raise AudioError(
            "decode", f"expected {len(STREAMS)} streams of audio, the file has {info.nb_audio_streams}"
        )
    return len(STREAMS)


def _decode_stream(path: Path, info: Any, i: int) -> np.ndarray:
    import musdb

    index = info.audio_stream_idx()[i]
    samples = musdb.MultiTrack(path=str(path), name=path.name, stem_id=index, is_wav=False).audio
    seconds = len(samples) / info.sample_rate(i)
    if (
        seconds < info.duration(i) - SLACK_SECONDS
    ):  # ffmpeg leaves out what it cannot decode, without an error
        raise AudioError("decode", f"truncated: {seconds:.2f} of {info.duration(i):.2f} s of {STREAMS[i]}")
    return np.rint(samples * 32_768).astype(np.int16)  # exact: that is what musdb had from ffmpeg


def _stream(samples: NDArray[np.int16], rate: int, crop: CropConfig) -> Stream:
    blocks = (
        np.divide(samples[i : i + BLOCK].T, 32_768, dtype=np.float32) for i in range(0, len(samples), BLOCK)
    )
    mapped = (map_channels(block, crop.channels) for block in blocks)
    return rechunk(resample_blocks(mapped, rate, crop.sample_rate), crop.length)


def _split(subset: str, title: str) -> str:
    return "valid" if subset == "train" and title in validation_tracks() else subset


def _list(root: str, subset: str) -> list[str]:
    folder = storage.join(root, subset)
    return storage.list_files(folder) if storage.is_directory(folder) else []
