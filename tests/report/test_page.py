import base64
import io
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from vsep_ray.evaluation.scores import Score
from vsep_ray.report.media import Clip, audio_uri, spectrogram_uri
from vsep_ray.report.page import page


def tone(seconds=0.2, rate=8000, channels=1, hz=440.0):
    return np.tile(0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate), (channels, 1))


def row(track, source, method, value):
    return Score(track, source, method, value, value + 1, value, math.nan)


ROWS = [
    row(t, s, m, v)
    for t in "ab"
    for s in ("bass", "<voice>")
    for m, v in [("mixture", -5.0), ("B amortized", 4.0), ("oracle", 9.0)]
]
ROWS += [row("c", "bass", "B amortized", math.nan)]


class Outline(HTMLParser):
    """Tags and every attribute that could make a request."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.requests = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.requests += [
            v for k, v in attributes if k in ("src", "href", "srcset") and not v.startswith("data:")
        ]


def content(uri):
    return base64.b64decode(uri.partition(",")[2])


def clips():
    names = [("mixture", "mixture"), ("bass", "reference"), ("bass", "B amortized")]
    return [Clip("a", name, method, tone(), 8000) for name, method in names]


def test_the_page_needs_nothing_but_itself():
    text = page("Scores", ROWS, clips(), {"model": "models:/vsep/1", "tracks": 2})
    outline = Outline(text)
    assert outline.requests == [] and not re.search(r"https?://|@import|url\(|fetch\(", text)
    assert outline.tags.count("audio") == outline.tags.count("img") == 3


def test_tables_have_floor_result_and_ceiling_with_mean_and_median():
    text = page("Scores", ROWS, [], {})
    assert "mixture (floor)" in text and "oracle mask (ceiling)" in text
    assert "4.00 / 4.00" in text and "-5.00 / -5.00" in text
    assert "<td>4</td><td>1</td>" in text  # four scores of the model, one silent


def test_rows_of_what_was_evaluated_are_set_off_from_floor_and_ceiling():
    text = page("Scores", ROWS, [], {})
    assert re.findall(r'<tr class="(\w+)"><td>(.*?)</td>', text) == 3 * [
        ("bound", "mixture (floor)"),
        ("model", "B amortized"),
        ("bound", "oracle mask (ceiling)"),
    ]
    (styled,) = re.findall(r"\btr\.(\w+) td", text)
    assert styled == "model"


def test_names_are_escaped():
    text = page("<script>x</script>", ROWS, [], {"a": "<b>"})
    assert "<voice>" not in text and "<script>x" not in text and "&lt;b&gt;" in text


@pytest.mark.parametrize(("seconds", "channels", "kind"), [(0.2, 1, "audio/wav"), (20.0, 2, "audio/ogg")])
def test_sounds_survive(seconds, channels, kind):
    clip = Clip("a", "bass", "model", tone(seconds, 44100, channels), 44100)
    uri = audio_uri(clip, 0.5)
    assert uri.startswith(f"data:{kind};base64,")
    audio, rate = soundfile.read(io.BytesIO(content(uri)), always_2d=True)
    assert rate == 44100 and audio.shape[1] == channels and abs(len(audio) - seconds * rate) < 10
    assert np.abs(audio).max() == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("length", [1, 100, 1024, 500_000])
def test_spectrograms_are_small_pictures_of_any_length(length):
    from matplotlib import image

    picture = image.imread(
        io.BytesIO(content(spectrogram_uri(Clip("a", "x", "model", np.zeros((2, length)), 8000))))
    )
    assert picture.shape[0] <= 96 and picture.shape[1] <= 400


def test_a_tone_is_a_line_at_its_height():
    from matplotlib import image

    clip = Clip("a", "x", "model", tone(1.0, hz=1000.0), 8000)
    picture = image.imread(io.BytesIO(content(spectrogram_uri(clip))))
    brightest = picture[..., :3].sum(-1).mean(1).argmax() / len(picture)
    assert brightest == pytest.approx(1 - 1000 / 4000, abs=0.05)
