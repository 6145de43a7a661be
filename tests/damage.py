"""Ten ways in which a sound file can be bad, and what the quarantine table must say of each."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

RATE = 8_000


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _rubbish_inside(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3_000] = np.random.default_rng(0).bytes(3_000)
    path.write_bytes(content)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "gone.wav")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _not_finite(path: Path) -> None:
    soundfile.write(path, np.array([0.1, np.nan, np.inf]), RATE, subtype="FLOAT")


DAMAGES: dict[str, tuple[str, Callable[[Path], object], str, str]] = {
    "empty": (".wav", lambda p: p.write_bytes(b""), "decode", "empty"),
    "text": (".wav", lambda p: p.write_text("this is not sound"), "decode", "not a sound file"),
    "wrong ending": (".mp3", lambda p: p.write_bytes(b"PK\3\4" + bytes(900)), "decode", "not a sound file"),
    "no samples": (".wav", lambda p: soundfile.write(p, np.zeros(0), RATE), "decode", "no samples"),
    "not finite": (".wav", _not_finite, "decode", "sample 1 is not finite"),
    "truncated wav": (".wav", _half, "decode", "truncated"),
    "truncated flac": (".flac", _half, "decode", "damaged|truncated"),
    "rubbish inside": (".flac", _rubbish_inside, "decode", "damaged"),
    "directory": (".wav", _directory, "read", "a directory"),
    "vanished": (".wav", _dangling, "read", "No such file"),
    "pipe": (".wav", _pipe, "read", "device or pipe"),
}
"""Kind -> ending, what is done to a sound file, stage and reason (a pattern)."""


def check(kind: str, stage: str, reason: str) -> None:
    """Assert that a bad file of this kind was named as it must be."""
    _, _, expected, pattern = DAMAGES[kind]
    assert stage == expected and re.search(pattern, reason), (kind, stage, reason)
