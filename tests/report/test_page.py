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
    assert "<td>4.00</td>" in text and "<td>-5.00</td>" in text and "00 / " not in text
    assert "<h2>Scores (dB): mean over tracks and sources, and the median is the same</h2>" in text
    assert "<td>4</td><td>1</td>" in text  # four scores of the model, one silent


def test_mean_and_median_stand_side_by_side_only_where_they_differ():
    rows = [row(t, "bass", "model", v) for t, v in zip("abc", (1.0, 2.0, 6.0), strict=True)]
    rows += [row(t, "drums", "model", 4.0) for t in "abc"]
    text = page("Scores", rows, [], {})
    assert "By source (dB): mean / median over tracks; one number where both are the same" in text
    assert "<td>3.00 / 2.00</td><td>4.00</td>" in text
    assert "By source (dB): one track, one number" in page("Scores", rows[:1], [], {})


def test_words_are_explained_where_they_stand():
    text = page("Scores", [*ROWS, Score("d", "bass", "B amortized", *3 * [math.nan], -30.0)], [], {})
    assert re.findall("<dt>(.*?)</dt>", text) == [
        "SI-SDR", "SI-SDR improvement", "SDR", "leakage", "floor", "oracle", "silent",
    ]  # fmt: skip


def test_rows_of_what_was_evaluated_are_set_off_from_floor_and_ceiling():
    text = page("Scores", ROWS, [], {})
    assert re.findall(r'<tr class="(\w+)"><td>(.*?)</td>', text) == 3 * [
        ("bound", "mixture (floor)"),
        ("model", "B amortized"),
        ("bound", "oracle mask (ceiling)"),
    ]
    (styled,) = re.findall(r"\btr\.(\w+) td", text)  # of page.css
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


@pytest.mark.parametrize("level", [0.0, 1e-5])
def test_silence_is_an_empty_picture_and_soft_noise_is_a_dark_one(level):
    from matplotlib import image

    noise = np.random.default_rng(0).standard_normal((1, 8000))
    silent, soft, loud = (
        image.imread(io.BytesIO(content(spectrogram_uri(Clip("a", "x", "model", scale * noise, 8000)))))
        for scale in (level, 2e-3, 0.1)
    )
    assert (silent == silent[0, 0]).all() and silent[0, 0, :3].max() < 0.02
    assert 0 < soft[..., :3].mean() < 0.6 * loud[..., :3].mean()


def test_a_tone_is_a_line_at_its_height():
    from matplotlib import image

    clip = Clip("a", "x", "model", tone(1.0, hz=1000.0), 8000)
    picture = image.imread(io.BytesIO(content(spectrogram_uri(clip))))
    brightest = picture[..., :3].sum(-1).mean(1).argmax() / len(picture)
    assert brightest == pytest.approx(1 - 1000 / 4000, abs=0.05)
