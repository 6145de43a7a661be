"""Whether libsndfile can be trusted with a file, or PyAV must read it, or nobody can."""

import contextlib
import os
from pathlib import Path

import soundfile

from vsep_ray.audio.containers import mp3, ogg
from vsep_ray.audio.containers.truncation import caf_truncation, truncation
from vsep_ray.audio.formats import AudioError

UNKNOWN_LENGTH = 2**63 - 1
"""What libsndfile says of FLAC files that do not state it."""


def open_file(path: Path) -> tuple[soundfile.SoundFile | None, str, int]:
    """The opened file, or None and the reason why libsndfile cannot read it, or not all of it; and how many
    samples an MP3's frames hold, where its header does not say (else 0).

    Raises:
        AudioError: stage ``decode``, where damage is seen at once.
    """
    with path.open("rb") as raw:
        start = raw.read(64)
    chained = start[:4] == b"OggS" and ogg.check(path)
    if start[:4] == b"caff" and (words := caf_truncation(path)):
        raise AudioError("decode", words)
    without_rate = start[28:36] == b"OpusHead" and start[40:44] == bytes(4)  # RFC 7845, section 5.1
    if chained or without_rate:
        return None, "of Ogg it reads the first of several streams, and no Opus of unknown rate", 0
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(soundfile.SoundFile(os.fsencode(path)))  # names need not be UTF-8
        except soundfile.LibsndfileError as error:
            return None, error.error_string, 0
        why, samples = _doubts(file, path)
        if why:
            return None, why, samples
        stack.pop_all()
        return file, "", samples


def _doubts(file: soundfile.SoundFile, path: Path) -> tuple[str, int]:
    """Why not to read a file with libsndfile, or "", and an MP3's samples."""
    if words := truncation(file.extra_info):
        raise AudioError("decode", words)
    if file.frames == UNKNOWN_LENGTH:
        return "it does not state its length", 0
    if file.subtype == "OPUS":
        file.seek(0)  # else, where pages do not count from 0, the first block comes late by the pre-skip
    if file.format != "MP3" or mp3.states_length(path):
        return "", 0
    frames = mp3.frames(path)
    if not frames.samples:  # not of layer III
        return "", 0
    if frames.gap is not None:
        raise AudioError(
            "decode", f"damaged: at byte {frames.gap} there is no MP3 frame, and others come behind"
        )
    why = "" if frames.plain else "an MP3 that does not state its length, of which it reads a part"
    return why, frames.samples
