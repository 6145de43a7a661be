"""Tables of instruments: every program has its source, and swaps stay in it."""

import pytest

from vsep_ray.config import UserError
from vsep_ray.music.families import KIT_CHANNEL, KITS, PROGRAMS, TABLES, families


@pytest.mark.parametrize(
    ("name", "sources", "left_out"),
    [
        ("slakh", ("bass", "drums", "guitar", "piano", "other"), 0),
        ("four", ("bass", "drums", "other"), 5),
        ("six", ("bass", "drums", "guitar", "piano", "other"), 5),
    ],
)
def test_tables_that_are_ready(name, sources, left_out):
    table = families((name,))
    assert table.sources == sources and set(TABLES) == {"slakh", "four", "six"}
    assert sum(not s for s in table.instruments) == left_out and len(table.instruments) == PROGRAMS
    assert table.source_of(KIT_CHANNEL, 0) == "drums" and table.source_of(0, 33) == "bass"
    assert table.source_of(3, 0) == ("piano" if "piano" in sources else "other")


def test_a_table_of_pairs_gives_a_program_to_the_first_that_names_it():
    table = families(("other=*", "strings=40-44,48", "lead=40,80", "-=127"))
    assert table.sources == ("other", "strings", "lead")
    found = [table.source_of(0, p) for p in (0, 40, 44, 45, 48, 80, 127)]
    assert found == ["other", "strings", "strings", "other", "strings", "lead", ""]
    assert table.kit == "other" and families(("bass=33",)).kit == ""


@pytest.mark.parametrize("name", TABLES)
def test_programs_that_stand_for_each_other_are_of_one_source(name):
    table = families((name,))
    for channel in (0, KIT_CHANNEL):
        for program in range(PROGRAMS):
            alike = table.alike(channel, program)
            assert program in alike
            sources = {table.source_of(channel, other) for other in alike}
            assert sources == {table.source_of(channel, program)}
    assert table.alike(0, 33) == tuple(range(32, 40)) and table.alike(0, 127) == (127,)
    assert table.alike(KIT_CHANNEL, 8) == KITS and table.alike(KIT_CHANNEL, 56) == (56,)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (("Slakh",), "expected slakh, four, six, or pairs SOURCE=PROGRAMS"),
        (("strings=",), "strings="),
        (("=40",), "=40"),
        (("strings=40-",), "strings=40-"),
        (("strings=100-128",), "from 0 to 127, got 128"),
        (("-=*",), "leaves every instrument out"),
        ((), "leaves every instrument out"),
    ],
)
def test_mistakes_are_named(pairs, words):
    with pytest.raises(UserError, match=words.replace("*", r"\*")):
        families(pairs)
