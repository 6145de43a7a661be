"""The page of a catalog run: self-contained, with what failed and whom to doubt."""

import re

import numpy as np

from vsep_ray.report.catalog import catalog_page
from vsep_ray.report.media import Clip

ROW = {"audio_seconds": 2.0, "sample_rate": 8000, "channels": 1, "gain": 0.5, "remainder_db": -31.26}


def clip(track, name, method):
    return Clip(track, name, method, np.zeros((1, 800)), 8000)


def test_the_page_lists_failures_and_the_confidence_of_every_stem():
    shown = [
        {**ROW, "track": "<a>", "confidence_db": [12.34, -3.0], "lowest_confidence_db": -3.0},
        {**ROW, "track": "b", "confidence_db": [], "lowest_confidence_db": None},
    ]
    failed = [{"track": "c", "stage": "decode", "message": "empty", "attempts": 2}]
    names = [("mixture", "mixture"), ("bass", "stem"), ("rest", "stem")]
    clips = [clip(track, *name) for track in ("<a>", "b") for name in names]
    text = catalog_page("Separated", {"tracks": 3}, failed, shown, ["bass", "rest"], clips)
    assert not re.search(r"https?://|@import|url\(|fetch\(", text)
    assert text.count("<audio") == 6 and "<a>" not in text
    assert re.findall(r"confidence (-?\d+\.\d) dB", text) == ["12.3", "-3.0"]
    for cells in (["&lt;a&gt;", "2.0", "8000", "1", "0.5", "-31.3", "-3.0"], ["c", "decode", "empty", "2"]):
        assert cells in [re.findall("<td[^>]*>(.*?)</td>", row) for row in re.findall("<tr.*?</tr>", text)]


def test_failures_are_prose_and_every_word_of_the_table_is_explained():
    failed = [{"track": "c", "stage": "decode", "message": 30 * "a reason; ", "attempts": 2}]
    shown = [{**ROW, "track": "b", "confidence_db": [1.0], "lowest_confidence_db": 1.0}]
    text = catalog_page("Separated", {}, failed, shown, ["bass"], [clip("b", "mixture", "mixture")])
    assert f'<td class="text" data-head="message">{failed[0]["message"]}</td>' in text
    assert '<td data-head="attempts">2</td>' in text and "<h2>Failed: 1</h2>" in text
    for word in ("gain", "remainder", "confidence", "silent"):
        assert f"<dt>{word}</dt>" in text
    assert '<span class="silent">silent</span>' in text  # the clip is zero
