"""The data page: self-contained, the same bytes for the same data, with what is wrong, worst first."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import soundfile

from vsep_ray.report.data_page import MOST, SourceSection, SplitCount, data_page, source_html
from vsep_ray.report.media import Clip
from vsep_ray.survey.findings import Finding
from vsep_ray.survey.sources import Song, survey

RATE = 8_000
TONE = (0.1 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)[None]


def section(source="bass", findings=()):
    found = survey(source, [Song("a <song>", "train", (0,), TONE[None], TONE[None][:0])], RATE)
    clips = [Clip("a <song>", "train, from 0.0 s", "crop", TONE[:, : i * RATE // 2], RATE) for i in (1, 2)]
    counts = (SplitCount(source, "train", 3, 12, 0.2, 0.25, 0.5),)
    return SourceSection(found, counts, source_html(found, clips))


def test_the_page_needs_nothing_but_itself_and_is_the_same_every_time():
    first, second = (data_page("Data", {"data set": "x"}, [section()], []) for _ in range(2))
    assert first == second
    assert not re.search(r"https?://|@import|url\(|fetch\(", first) and "<song>" not in first
    assert first.count("<audio") == 2 and first.count("<img") == 6


def test_crops_are_heard_as_they_are():
    uris = re.findall(r'<audio controls( loop)? [^>]*src="data:audio/(\w+);base64,(.*?)"', section().html)
    assert [(loop, kind) for loop, kind, _ in uris] == [(" loop", "wav"), (" loop", "ogg")]
    for length, (_, _, content) in zip((RATE // 2, RATE), uris, strict=True):
        audio, rate = soundfile.read(io.BytesIO(base64.b64decode(content)))
        assert (rate, len(audio)) == (RATE, length) and abs(np.abs(audio).max() - 0.1) < 0.01


def test_figures_of_splits_are_in_a_table():
    text = data_page("Data", {}, [section()], [])
    (row,) = re.findall(r"<tr class=\"\">(.*?)</tr>", text)
    assert " ".join(re.findall("<td>(.*?)</td>", row)) == "bass train 3 12 0.2 25 % 50 %"
    assert "-23.7 LUFS in the median" in text


def test_members_of_a_joined_store_are_named():
    member = SplitCount("bass", "train", 3, 12, 0.2, 0.25, 0.5, "musdb18")
    text = data_page("Data", {}, [replace(section(), counts=(member,))], [])
    assert "<td>bass of musdb18</td><td>train</td>" in text


def test_findings_are_listed_worst_first_and_notes_in_a_sentence():
    leaks = [Finding("leak", f"song {i}", "bass", "half", float(i + 1)) for i in range(MOST + 5)]
    notes = [Finding("mono", f"song {i}", "bass", "both", 1.0, note=True) for i in range(3)]
    text = data_page("Data", {}, [section()], [*leaks, *notes])
    songs = re.findall(r">song (\d+)</td>", text)
    assert songs == [str(i) for i in range(MOST + 4, 4, -1)]
    assert f"leak {MOST + 5}. The worst {MOST} are shown." in text and "mono (both), songs of bass 3." in text


def test_a_silent_source_has_a_section_without_pictures():
    silent = survey("bass", [], RATE)
    text = data_page("Data", {}, [SourceSection(silent, (), source_html(silent, []))], [])
    assert "No crop is audible." in text and "<img" not in text and "nothing" in text
