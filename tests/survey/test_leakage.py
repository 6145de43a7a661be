"""Leakage: a leak is found at its share, through filters too; music in time and key is no leak."""

import numpy as np
import pytest
from scipy.signal import lfilter

from vsep_ray.survey.leakage import LEAK, explained, leaks

RATE = 8_000
DICE = np.random.default_rng(0)
STEMS = {name: DICE.normal(0, 0.1, (6, 1, RATE)).astype(np.float32) for name in ("bass", "drums", "other")}


def test_stems_of_their_own_have_no_leaks():
    assert leaks("song", STEMS, RATE) == []


@pytest.mark.parametrize("db", [-6, -10])
def test_a_leak_is_found_with_its_share_and_its_origin_even_through_a_filter(db):
    echo = lfilter([0.8, 0, 0, 0.6], [1], STEMS["drums"]).astype(np.float32)
    gain = 10 ** (db / 20)
    found = leaks("song", {**STEMS, "bass": STEMS["bass"] + np.float32(gain) * echo}, RATE)
    (bass,) = [f for f in found if f.source == "bass"]
    assert (bass.kind, bass.track) == ("leak", "song") and bass.figure.endswith("also in drums")
    assert bass.times * LEAK == pytest.approx(gain**2 / (1 + gain**2), abs=0.03)
    assert {f.source for f in found} == {"bass", "drums"}  # what is in common does not say whose it is


def test_the_same_notes_at_the_same_time_are_no_leak():
    time = np.arange(6 * RATE) / RATE
    hits = np.exp(-(time % 0.5) / 0.1)
    same = {s: hits * DICE.normal(0, 0.1, len(time)) + 0.1 * hits * np.sin(2 * np.pi * 220 * time + i)
            for i, s in enumerate(STEMS)}  # fmt: skip
    stems = {s: a.reshape(6, 1, RATE).astype(np.float32) for s, a in same.items()}
    assert max([0, *(f.times * LEAK for f in leaks("song", stems, RATE))]) < 0.5


def test_a_stem_that_is_another_is_certain_at_any_length():
    (found,) = leaks("song", {"a": STEMS["bass"][:1], "b": STEMS["bass"][:1], "c": STEMS["drums"][:1]}, RATE)
    assert (found.kind, found.source, found.times) == ("identical", "a", np.inf)


def test_silent_and_short_stems_have_no_leaks():
    silent = {s: 0 * a for s, a in STEMS.items()}
    assert leaks("song", silent, RATE) == []
    short = {s: a[:1, :, : RATE // 8] for s, a in STEMS.items()}
    assert leaks("song", {**short, "bass": short["bass"] + short["drums"]}, RATE) == []


def test_what_others_explain_is_a_share():
    rng = np.random.default_rng(1)
    others = rng.normal(size=(2, 9, 500)) + 1j * rng.normal(size=(2, 9, 500))
    own = rng.normal(size=(9, 500)) + 1j * rng.normal(size=(9, 500))
    assert explained(2 * others[0] - 1j * others[1], others) == pytest.approx(1, abs=1e-4)
    assert explained(own, others) < 0.01
    assert explained(own + others[0], others) == pytest.approx(0.5, abs=0.03)
