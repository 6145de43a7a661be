"""Findings: each fault is found where it was made, and nothing is found in sound that has none."""

import numpy as np
import pytest

from vsep_ray.audio.resampling import resample
from vsep_ray.survey.features import power_spectrum
from vsep_ray.survey.findings import Finding, band_edge, clipped, dc_offset, findings, worst_first

RATE = 16_000
NOISE = np.random.default_rng(0).normal(0, 0.1, (2, 2, RATE)).astype(np.float32)
TONE = (0.5 * np.sin(2 * np.pi * 1_100 * np.arange(RATE) / RATE)).astype(np.float32)


def kinds(crops):
    return [f.kind for f in findings("song", "bass", crops, crops, power_spectrum(crops), RATE)]


def low_passed(crops, share):
    rate = int(share * RATE)
    thin = [resample(resample(c, RATE, rate), rate, RATE)[:, : crops.shape[-1]] for c in crops]
    return np.round(np.stack(thin) * 32_768).astype(np.float32) / 32_768


def test_sound_without_faults_has_no_findings():
    assert kinds(NOISE) == []
    assert kinds(np.tile(TONE, (2, 1, 1))) == []


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_a_file_of_a_lower_rate_is_found_with_its_band(share):
    thin = low_passed(NOISE, share)
    assert kinds(thin) == ["wrong rate"]
    assert band_edge(power_spectrum(thin)) == pytest.approx(share, abs=0.06)


def test_a_lossy_file_s_band_passes():
    assert kinds(low_passed(NOISE, 0.73)) == []


@pytest.mark.parametrize("octave_db", [6, 24, 36])
def test_a_natural_slope_is_no_edge(octave_db):
    spectrum = np.fft.rfft(NOISE)
    octaves = np.log2(np.maximum(np.arange(spectrum.shape[-1]), 100) / 100)
    sloping = np.fft.irfft(spectrum * 10 ** (-octave_db * octaves / 20)).astype(np.float32)
    assert kinds(sloping) == []


def test_clipping_counts_runs_of_three_and_not_peaks():
    loud = np.clip(30 * NOISE, -1, 32_767 / 32_768)
    assert "clipped" in kinds(loud)
    touching = np.zeros((1, 1, 99), np.float32)
    touching[..., ::3] = touching[..., 1::3] = 1
    assert clipped(touching) == 0 == clipped(30 * NOISE)  # a sum that passes full scale is not clipped
    touching[..., :3] = 1
    assert clipped(touching) == pytest.approx(5 / 99)


def test_an_offset_is_found_whatever_plays():
    assert kinds(NOISE + np.float32(0.02)) == ["DC offset"]
    assert dc_offset(np.tile(TONE[: RATE // 8], (1, 1, 1)) + np.float32(0.02)) == pytest.approx(
        0.02, rel=0.01
    )


def test_mono_in_stereo_is_a_note():
    twice = np.repeat(NOISE[:, :1], 2, axis=1)
    (found,) = findings("song", "bass", twice, twice, power_spectrum(twice), RATE)
    assert (found.kind, found.note) == ("mono", True)
    assert kinds(NOISE[:, :1]) == []


def test_the_worst_comes_first_and_notes_last():
    found = [
        Finding("leak", "a", "bass", "", t, note) for t, note in [(2, False), (9, True), (np.inf, False)]
    ]
    assert [f.times for f in worst_first(found)] == [np.inf, 2, 9]
