from vsep_ray.report.labels import LONGEST, label


def test_usual_names_stay_as_they_are():
    assert [label(name) for name in ("bass", "Łąka", "voice 2")] == ["bass", "Łąka", "voice 2"]


def test_long_names_keep_both_ends():
    shown = label("Archive 1974, reel 12, side B, take 3")
    assert len(shown) == LONGEST and shown.startswith("Archive 1974") and shown.endswith("B, take 3")


def test_what_would_be_markup_or_has_no_glyph_is_escaped():
    assert label("日本") == r"\u65e5\u672c" and label("$a$") == r"\$a\$"
    assert label("_a") == " _a" and label("a\nb") == "a b"
