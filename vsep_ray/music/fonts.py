"""SoundFonts are the instruments: which there are, what they hold, and where a process finds them."""

import functools
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vsep_ray import storage
from vsep_ray.config import UserError, fingerprint
from vsep_ray.music.families import KIT_CHANNEL

DEBIAN = "/usr/share/sounds/sf2/FluidR3_GM.sf2"
"""Debian's package fluid-soundfont-gm puts a free font (MIT) here."""
ENDINGS = (".sf2", ".sf3")
KIT_BANK = 128
_RECORD = 38  # bytes of a preset's header: name (20), program, bank, and more


class Font(NamedTuple):
    """A font is drawn as often as its weight says, beside others."""

    uri: str
    weight: float


def parse_fonts(texts: Sequence[str]) -> list[Font]:
    """Returns the fonts of ``FILE`` or ``FILE:WEIGHT`` texts, at absolute places.

    Example:
        >>> parse_fonts(["/f/a.sf2:2", "s3://bucket/b.sf3"])
        [Font(uri='/f/a.sf2', weight=2.0), Font(uri='s3://bucket/b.sf3', weight=1.0)]

    Raises:
        UserError: there is none, one has another ending, or a weight is not positive.
    """
    fonts = [_font(text) for text in texts]
    for font in fonts:
        if storage.suffix(font.uri) not in ENDINGS or font.weight <= 0:
            raise UserError(
                f"--fonts {font.uri!r} (weight {font.weight:g}): expected FILE.sf2 or FILE.sf3, and behind a "
                "colon a positive weight if there are several"
            )
    return [Font(storage.absolute(uri), weight) for uri, weight in fonts]


def check_fonts(fonts: Sequence[Font]) -> None:
    """Refuses fonts that are not there or cannot be used.

    Raises:
        UserError: with the package that has one.
    """
    if not fonts:
        raise UserError(f"no SoundFont is given; {_cure()}")
    for font in fonts:
        if storage.size(font.uri) < 0:
            raise UserError(f"SoundFont {font.uri!r} is not there; {_cure()}")
        presets(font.uri)


@functools.cache
def local_font(uri: str) -> Path:
    """Returns the local path of a font; a remote one is copied to the node once."""
    if not storage.is_remote(uri):
        return storage.local_path(uri)
    folder = storage.temporary_root() / "fonts" / fingerprint([uri, *storage.stamps([uri])])

    def make(scratch: Path) -> Path:
        storage.download(uri, scratch / "copy" / f"font{storage.suffix(uri)}")
        return scratch / "copy"

    return storage.fill(folder, make) / f"font{storage.suffix(uri)}"


@functools.cache
def presets(uri: str) -> frozenset[tuple[int, int]]:
    """Returns bank and program of all instruments of a font; kits are in bank 128.

    Raises:
        UserError: it is not on this machine, or no SoundFont.
    """
    try:
        with local_font(uri).open("rb") as file:
            table = _preset_headers(file)
    except (OSError, ValueError, struct.error) as error:
        raise UserError(
            f"SoundFont {uri!r} cannot be read on this machine ({error}); expected an sf2 or sf3 file in a "
            "bucket or a folder that all machines see"
        ) from error
    # the last record ends the list
    records = [table[i : i + _RECORD] for i in range(0, len(table) - _RECORD, _RECORD)]
    return frozenset(struct.unpack_from("<HH", record, 20)[::-1] for record in records)


def preset_of(uri: str, channel: int, program: int) -> tuple[int, int] | None:
    """Returns bank and program of a font for a channel's program, None where it has no such instrument.

    A kit that a font lacks is its standard kit.
    """
    bank = KIT_BANK if channel == KIT_CHANNEL else 0
    choices = [(bank, program)] + [(bank, 0)] * (bank == KIT_BANK)
    return next((choice for choice in choices if choice in presets(uri)), None)


def _font(text: str) -> Font:
    uri, _, weight = text.rpartition(":")
    if storage.suffix(uri) in ENDINGS and weight.replace(".", "", 1).isdigit():
        return Font(uri, float(weight))
    return Font(text, 1.0)


def _preset_headers(file: BinaryIO) -> bytes:
    """Returns the records of all presets: the first part of the list ``pdta`` of the RIFF file."""
    _, length, kind = struct.unpack("<4sI4s", file.read(12))
    if kind != b"sfbk":
        raise ValueError("it does not begin as a SoundFont")
    if file.seek(0, 2) < length:
        raise ValueError(f"it is cut off: of {length} bytes {file.tell()} are there")
    file.seek(12)
    while True:
        name, size, kind = struct.unpack("<4sI4s", file.read(12))
        if (name, kind) == (b"LIST", b"pdta"):
            name, size = struct.unpack("<4sI", file.read(8))
            return file.read(size)
        file.seek(size - len(kind), 1)
        if file.read(1) != b"\0":  # which fills up an odd size, unless a writer forgot it
            file.seek(-1, 1)


def _cure() -> str:
    return f"install Debian's package fluid-soundfont-gm, whose font is {DEBIAN}, or name your own by --fonts"
