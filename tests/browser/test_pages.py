"""What people look at, in a real browser: MLflow's page with our runs, and our own pages from disk.

Needs Debian's ``chromium`` and the extra ``browser``; ``pytest -m browser``.
"""

import math
import shutil
import time

import numpy as np
import pytest
from matplotlib.figure import Figure
from mlflow_server import MlflowServer, free_port

from vsep_ray.evaluation.scores import Score
from vsep_ray.report.catalog import catalog_page
from vsep_ray.report.data_page import SourceSection, SplitCount, data_page, source_html
from vsep_ray.report.media import Clip
from vsep_ray.report.page import page
from vsep_ray.survey.findings import Finding
from vsep_ray.survey.sources import Song, survey
from vsep_ray.tracking import Tracker
from vsep_ray.tracking.client import experiment_id

pytestmark = pytest.mark.browser
LONG = 4.0
"""Seconds: long enough to be encoded as Ogg, as in real reports."""


def clips(seconds=LONG):
    names = {("mixture", "mixture"): 440, ("bass", "reference"): 220, ("bass", "model"): 225}
    tones = {
        key: 0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * 8000)) / 8000) for key, hz in names.items()
    }
    return [Clip("a song", *key, tone[None], 8000) for key, tone in tones.items()]


def evaluation():
    values = {"mixture": -5.0, "model": 4.0, "oracle": 9.0}
    scores = [Score("a song", "bass", m, v, v, v, math.nan) for m, v in values.items()]
    return page("Scores", scores, clips(), {"model": "models:/vsep-separator/1"})


def catalog():
    row = {"audio_seconds": LONG, "sample_rate": 8000, "channels": 1, "gain": 1.0, "remainder_db": -40.0}
    row |= {"track": "a song", "confidence_db": [8.0], "lowest_confidence_db": 8.0}
    message = f"{30 * 'a reason; '}/archive/{90 * 'x'}.flac"
    failed = [{"track": 30 * "long_", "stage": "decode", "message": message, "attempts": 1}]
    return catalog_page("Separated", {"tracks": 1}, failed, [row], ["bass"], clips())


def data():
    song = "a song of a_name_that_is_long_and_cannot_be_broken"
    audio = 0.1 * np.random.default_rng(0).standard_normal((1, 1, int(LONG * 8000))).astype(np.float32)
    found = survey("bass", [Song(song, "train", (0,), audio, audio)], 8000)
    html = source_html(found, [Clip(song, "train, from 0.0 s", "crop", audio[0], 8000)] * 10)
    counts = (SplitCount("bass", "train", 1, 1, LONG / 60, 0.0, 1.0),)
    leaks = [Finding("leak", song, "bass", "31 % of it is also in drums", 6.2)]
    return data_page("Data", {"content": 9 * "0123456789"}, [SourceSection(found, counts, html)], leaks)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # a sandbox of its own needs rights that containers do not have
        found = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def tab(browser):
    found = browser.new_page(viewport={"width": 1600, "height": 1000})
    yield found
    found.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The address of an experiment with a run, what a run of evaluate.py has, and one below it."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    uri, figure = f"http://127.0.0.1:{port}", Figure()
    figure.subplots().plot([1, 2])
    with MlflowServer(port, folder):
        place = {"experiment": "vsep/evaluation", "spool": folder / "spool"}
        with Tracker.start(uri, run_name="the run above", **place) as tracker:
            Tracker.start(uri, run_name="the run below", parent_run_id=tracker.run_id, **place).finish()
            tracker.figure(figure, "curve.png")
            tracker.audio(clips()[0].audio, 8000, "tone.wav")
            tracker.text(evaluation(), "report.html")
        base = f"{uri}/#/experiments/{experiment_id(uri, 'vsep/evaluation')}/runs"
        yield base, f"{base}/{tracker.run_id}/artifacts/"


def open_artefact(tab, runs, name):
    tab.goto(runs[1] + name)
    tab.get_by_text(name, exact=True).first.click()


def heard(place):
    """The numbers of the rows that are heard, from 1."""
    rows = place.locator(".sound").all()
    return [i for i, row in enumerate(rows, 1) if "muted" not in row.get_attribute("class").split()]


def position(place):
    return float(place.locator(".seek").input_value())


def check_players(place):
    """All sounds of a track play from one clock; solo, mute and seeking keep the place."""
    play, sounds = place.locator(".play"), place.locator(".sound")
    play.click()
    wait_until(lambda: position(place) > 0)
    assert play.get_attribute("aria-label") == "Pause" and sounds.count() == 3 and heard(place) == [1]
    sounds.nth(2).get_by_role("button", name="solo bass, model").click()
    assert heard(place) == [3]
    sounds.nth(1).locator(".picture").click()  # in its middle
    wait_until(lambda: position(place) > LONG / 2)
    play.click()
    assert play.get_attribute("aria-label") == "Play"
    sounds.nth(2).locator(".solo").click()
    sounds.nth(0).get_by_role("button", name="mute mixture").click()
    sounds.nth(1).get_by_role("button", name="mute bass, reference").click()
    assert heard(place) == [2]
    pressed = [b.get_attribute("aria-pressed") for b in place.locator(".mute").all()]
    assert pressed == ["true", "false", "true"]
    assert not any(audio.is_visible() for audio in place.locator("audio").all())


def wait_until(true):
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_runs_are_listed_as_a_tree(tab, runs):
    tab.goto(runs[0])
    above = tab.get_by_role("row").filter(has_text="the run above")
    above.wait_for()
    assert tab.get_by_text("the run below").count() == 0
    above.get_by_role("button").first.click()
    tab.get_by_text("the run below").wait_for()


def test_a_figure_is_shown(tab, runs):
    open_artefact(tab, runs, "curve.png")
    wait_until(lambda: any(i.evaluate("i => i.naturalWidth > 500") for i in tab.locator("img").all()))


def test_audio_plays(tab, runs):
    open_artefact(tab, runs, "tone.wav")
    audio = tab.locator("audio")
    audio.wait_for(state="attached")
    wait_until(lambda: abs(audio.evaluate("a => a.duration") - LONG) < 0.1)
    audio.evaluate("a => a.play()")
    wait_until(lambda: audio.evaluate("a => a.currentTime > 0.2"))


def test_the_report_works_inside_mlflow(tab, runs):
    open_artefact(tab, runs, "report.html")
    place = tab.frame_locator("iframe")
    place.locator("h1").wait_for()
    assert "mixture (floor)" in place.locator("body").inner_text()
    check_players(place)


def complaints(tab, path, html):
    """Opens a page from disk, and returns a list that its requests and errors come into."""
    path.write_text(html)
    found = []
    inside = ("data:", "blob:", path.as_uri())
    tab.on("request", lambda r: None if r.url.startswith(inside) else found.append(r.url))
    tab.on("console", lambda m: found.append(m.text) if m.type in ("error", "warning") else None)
    tab.on("pageerror", lambda e: found.append(str(e)))
    tab.goto(path.as_uri())
    return found


@pytest.mark.parametrize("make", [evaluation, catalog])
def test_a_page_from_disk_asks_for_nothing_and_reports_no_error(tab, tmp_path, make):
    found = complaints(tab, tmp_path / "page.html", make())
    check_players(tab)
    assert found == []


@pytest.mark.parametrize("width", [1280, 390])
def test_crops_are_heard_and_seen_on_a_desk_and_on_a_telephone(tab, tmp_path, width):
    tab.set_viewport_size({"width": width, "height": 844})
    found = complaints(tab, tmp_path / "data.html", data())
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert all(i.evaluate("i => i.naturalWidth > 20 && i.width > 150") for i in tab.locator("img").all())
    sounds = tab.locator("audio").all()
    assert len(sounds) == 10
    sounds[0].evaluate("a => a.play()")
    wait_until(lambda: sounds[0].evaluate("a => a.currentTime > 0.2 && Math.abs(a.duration - 4) < 0.1"))
    tab.locator(".picture").nth(1).click()  # in its middle; one sound at a time
    wait_until(lambda: sounds[1].evaluate("a => a.currentTime > 2"))
    assert sounds[0].evaluate("a => a.paused")
    assert found == []


def test_keys_play_seek_and_choose_rows_once_a_track_was_touched(tab, tmp_path):
    found = complaints(tab, tmp_path / "page.html", catalog())
    tab.set_viewport_size({"width": 1280, "height": 300})
    tab.keyboard.press("Space")  # still the page's
    wait_until(lambda: tab.evaluate("scrollY") > 0)
    assert tab.locator(".playing").count() == 0
    tab.locator("h3").click()
    tab.keyboard.press("Space")
    wait_until(lambda: position(tab) > 0)
    tab.keyboard.press("Space")
    assert tab.locator(".playing").count() == 0
    tab.keyboard.press("ArrowRight")
    assert abs(position(tab) - LONG) < 0.1
    tab.keyboard.press("ArrowLeft")
    assert position(tab) == 0
    for key, rows in (("2", [2]), ("3", [3]), ("3", [1]), ("9", [1]), ("0", [1, 2, 3])):
        tab.keyboard.press(key)
        assert heard(tab) == rows
    assert found == []


def test_keys_of_an_input_or_a_button_stay_its_own(tab, tmp_path):
    complaints(tab, tmp_path / "page.html", catalog())
    loop = tab.locator(".loop")
    loop.focus()
    tab.keyboard.press("Space")
    assert loop.is_checked() and tab.locator(".playing").count() == 0
    tab.locator(".solo").nth(1).focus()
    tab.keyboard.press("Space")
    assert heard(tab) == [2] and tab.locator(".playing").count() == 0
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert tab.evaluate(outline) == "solid"


@pytest.mark.parametrize("make", [evaluation, catalog, data])
def test_a_telephone_scrolls_no_page_sideways_by_day_or_in_the_dark(browser, tmp_path, make):
    seen = []
    for scheme in ("light", "dark"):
        tab = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
        found = complaints(tab, tmp_path / "page.html", make())
        assert tab.evaluate("document.documentElement.scrollWidth") == 390 and found == []
        seen.append(tab.evaluate("getComputedStyle(document.querySelector('h1')).color"))
        tab.close()
    assert seen == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]


def test_without_a_script_plain_players_take_the_place_of_buttons(browser, tmp_path):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    complaints(tab, tmp_path / "page.html", catalog())
    sounds = tab.locator("audio").all()
    assert len(sounds) == 3 and all(audio.is_visible() for audio in sounds)
    assert not any(tab.locator(name).first.is_visible() for name in (".transport", ".solo", ".keys"))
    wait_until(lambda: abs(sounds[0].evaluate("a => a.duration") - LONG) < 0.1)
    context.close()
