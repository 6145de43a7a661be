"""SoundFonts: weights, what they hold, and in words what is wrong with one."""

import pytest
from soundfonts import write_font

from vsep_ray import storage
from vsep_ray.config import UserError
from vsep_ray.music.families import KIT_CHANNEL
from vsep_ray.music.fonts import DEBIAN, Font, check_fonts, local_font, parse_fonts, preset_of, presets


def test_fonts_have_weights_and_absolute_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path / "a:b.sf3")
    assert parse_fonts(["a:b.sf3:0.5", "a:b.sf3", "s3://b/c.SF2:3"]) == [
        Font(here, 0.5),
        Font(here, 1),
        Font("s3://b/c.SF2", 3),
    ]


@pytest.mark.parametrize("text", ["a.wav", "a.sf2:0", "a.sf2:two", "", "a.sf2:-1"])
def test_what_is_no_font_or_weight_is_refused(text):
    with pytest.raises(UserError, match=r"--fonts .*expected FILE\.sf2 or FILE\.sf3"):
        parse_fonts([text])


@pytest.mark.parametrize("skipped", [0, 1])
def test_instruments_are_those_of_the_font(tmp_path, skipped):
    font = write_font(tmp_path / "x.sf2", programs=(0, 40), kits=(0, 8))
    if skipped:  # a chunk of odd size that nothing fills up, as in fonts that MuseScore wrote
        content = (tmp_path / "x.sf2").read_bytes()
        (tmp_path / "x.sf2").write_bytes(content[:12] + b"LIST\5\0\0\0INFOx" + content[12:])
    assert presets(font) == {(0, 0), (0, 40), (128, 0), (128, 8)}
    assert preset_of(font, 0, 40) == (0, 40) and preset_of(font, 0, 41) is None
    assert preset_of(font, KIT_CHANNEL, 8) == (128, 8) and preset_of(font, KIT_CHANNEL, 16) == (128, 0)
    check_fonts(parse_fonts([font]))


@pytest.mark.parametrize("cut", [0, 11, 60, 9_500, -100])
def test_damage_is_named(tmp_path, cut):
    font = tmp_path / "x.sf2"
    write_font(font)
    font.write_bytes(font.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"cannot be read on this machine .*expected an sf2 or sf3 file"):
        check_fonts([Font(str(font), 1)])


def test_no_font_is_one_sentence_with_the_package_and_the_flag(tmp_path):
    for fonts in ([], [Font(str(tmp_path / "gone.sf2"), 1)]):
        with pytest.raises(UserError, match="Debian's package fluid-soundfont-gm") as caught:
            check_fonts(fonts)
        assert "--fonts" in str(caught.value) and DEBIAN in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_font_in_a_bucket_is_copied_once(tmp_path, bucket, monkeypatch):
    monkeypatch.setattr(storage, "temporary_root", lambda: tmp_path / "node")
    write_font(tmp_path / "x.sf2")
    uri = storage.join(bucket, "x.sf2")
    storage.upload(tmp_path / "x.sf2", uri)
    check_fonts([Font(uri, 1)])
    storage.delete(uri)
    assert local_font(uri).read_bytes() == (tmp_path / "x.sf2").read_bytes()
