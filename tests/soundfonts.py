"""A tiny SoundFont, one looped sine for every program, and songs to play on it."""

import struct
from pathlib import Path

import numpy as np
import pytest

RATE, PERIOD, PERIODS = 44_100, 100, 44
"""The sine has 441 Hz, which the font says is key 69."""
FAMILIES = {"piano": 0, "guitar": 25, "bass": 33, "other": 40}
"""Source -> a program of it; the drums are on channel 10."""


def write_font(path, programs=range(128), kits=(0,)):
    """Write an sf2 file with some programs and kits; its path as text."""
    presets = [(0, p) for p in programs] + [(128, p) for p in kits]
    content = _list(
        b"INFO", (b"ifil", struct.pack("<HH", 2, 1)), (b"isng", b"EMU8000\0"), (b"INAM", b"sine\0\0")
    )
    content += _list(b"sdta", (b"smpl", _sine().tobytes())) + _list(b"pdta", *_tables(presets))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(b"RIFF" + struct.pack("<I", 4 + len(content)) + b"sfbk" + content)
    return str(path)


def _sine():
    wave = np.sin(2 * np.pi * np.arange(PERIOD * PERIODS + 8) / PERIOD)
    return np.concatenate([0.5 * 32_767 * wave, np.zeros(46)]).astype("<i2")


def _tables(presets):
    """The nine tables of presets, instruments and samples; each ends with a record that says so."""
    name, zone = b"sine".ljust(20, b"\0"), struct.pack("<HH", 0, 0)
    length = PERIOD * PERIODS
    heads = [struct.pack("<20sHHHIII", name, p, bank, i, 0, 0, 0) for i, (bank, p) in enumerate(presets)]
    end = struct.pack("<20sHHHIII", b"EOP", 0, 0, len(presets), 0, 0, 0)
    bags = b"".join(struct.pack("<HH", i, 0) for i in range(len(presets) + 1))
    to_instrument = struct.pack("<HH", 41, 0) * len(presets)
    loops_on, to_sample = struct.pack("<HH", 54, 1), struct.pack("<HH", 53, 0)
    sample = struct.pack("<20sIIIIIBbHH", name, 0, length + 8, PERIOD, length, RATE, 69, 0, 0, 1)
    return (
        (b"phdr", b"".join(heads) + end), (b"pbag", bags), (b"pmod", bytes(10)),
        (b"pgen", to_instrument + zone),
        (b"inst", struct.pack("<20sH", name, 0) + struct.pack("<20sH", b"EOI", 1)),
        (b"ibag", zone + struct.pack("<HH", 2, 0)), (b"imod", bytes(10)),
        (b"igen", loops_on + to_sample + zone), (b"shdr", sample + bytes(46)),
    )  # fmt: skip


def _list(kind, *chunks):
    body = kind + b"".join(_chunk(name, data) for name, data in chunks)
    return _chunk(b"LIST", body)


def _chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def write_song(path, sources=(*FAMILIES, "drums"), keys=(60, 64, 67), beat=480):
    """Write a MIDI file in which each source plays the keys one after the other, half a second each."""
    import mido

    song = mido.MidiFile(ticks_per_beat=beat)
    for channel, source in enumerate(sources):
        place = 9 if source == "drums" else channel
        track = mido.MidiTrack()
        track.append(mido.Message("program_change", channel=place, program=FAMILIES.get(source, 0)))
        for key in keys:
            track.append(mido.Message("note_on", channel=place, note=key, velocity=90))
            track.append(mido.Message("note_off", channel=place, note=key, time=beat))
        song.tracks.append(track)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    song.save(path)
    return str(path)


def synthesiser_or_skip():
    """Skips a test, in words, where nothing can render."""
    pytest.importorskip("mido", reason="the extra midi is not installed: pip install -e '.[midi]'")
    missing = "FluidSynth is not installed: apt-get install libfluidsynth3"
    pytest.importorskip("fluidsynth", reason=missing, exc_type=ImportError)
