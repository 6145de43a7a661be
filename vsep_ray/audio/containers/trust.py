"""libsndfile can be trusted with a file, or PyAV must read it, or nobody can: it is told here.

That a file ends before its sound does, libsndfile notes in its log and passes over otherwise; of CAF it does
not see it.
"""

import contextlib
import os
import re
import struct
from pathlib import Path

import soundfile

from vsep_ray.audio.containers import mp3, ogg
from vsep_ray.audio.formats import AudioError

UNKNOWN_LENGTH = 2**63 - 1
"""libsndfile gives this length to FLAC files that do not state theirs."""
_SIZE = re.compile(r"^\s*(?:data|SSND|riff|Riff size|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_UNKNOWN = (range(0x7FFF0000, 0x80000001), range(0xFFFF0000, 0x100000000))
"""Programs write sizes in these ranges into the header of a stream whose length they do not know."""


def open_file(path: Path) -> tuple[soundfile.SoundFile | None, str, int]:
    """Returns the opened file, or None and the reason why libsndfile cannot read all of it. The third value
    is how many samples an MP3's frames hold, where its header does not say (else 0).

    Raises:
        AudioError: stage ``decode``, where damage is seen at once.
    """
    with path.open("rb") as raw:
        start = raw.read(64)
    chained = start[:4] == b"OggS" and ogg.check(path)
    if start[:4] == b"caff":
        _refuse_truncated_caf(path)
    without_rate = start[28:36] == b"OpusHead" and start[40:44] == bytes(4)  # RFC 7845, section 5.1
    if chained or without_rate:
        return None, "of Ogg it reads the first of several streams, and no Opus of unknown rate", 0
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(soundfile.SoundFile(os.fsencode(path)))  # names need not be UTF-8
        except soundfile.LibsndfileError as error:
            # it says so of any file in which its decoder of MP3 finds nothing
            lost = "does not exist" in error.error_string
            return None, "no sound in it" if lost else error.error_string, 0
        why, samples = _doubts(file, path)
        if why:
            return None, why, samples
        stack.pop_all()
        return file, "", samples


def truncation(log: str) -> str | None:
    """Returns what is missing, in words, by libsndfile's log of opening a file (``SoundFile.extra_info``).

    Example:
        >>> truncation("data : 529200 (should be 264578)")
        'truncated: 264578 of 529200 bytes of sound'
        >>> truncation("data : 4294967295 (should be 264578)") is None  # length unknown: a stream
        True
    """
    for stated, there in ((int(a), int(b)) for a, b in _SIZE.findall(log)):
        if stated > there and not any(stated in sizes for sizes in _UNKNOWN):
            return f"truncated: {there} of {stated} bytes of sound"
    return None


def _refuse_truncated_caf(path: Path) -> None:
    """Walks the chunks of a CAF file.

    Raises:
        AudioError: stage ``decode``; the file ends before its sound.

    Reference: Apple Core Audio Format Specification 1.0: chunks of a name, a length of 8 bytes (-1: to the
    end of the file) and its bytes.
    """
    size, at = path.stat().st_size, 8
    with path.open("rb") as file:
        while at + 12 <= size:
            file.seek(at)
            name, length = struct.unpack(">4sq", file.read(12))
            at += 12 + max(0, length)
            if name == b"data" or length < 0:
                break
    if at > size:
        raise AudioError("decode", f"truncated: {size} of {at} bytes")


def _doubts(file: soundfile.SoundFile, path: Path) -> tuple[str, int]:
    """Returns why not to read a file with libsndfile, or "", and an MP3's samples."""
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
