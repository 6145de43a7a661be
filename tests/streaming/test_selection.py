"""Which stems are written, and that they sum to the mixture."""

import numpy as np
import pytest

from vsep_ray.config import UserError
from vsep_ray.streaming import Selection

SOURCES = ("bass", "other", "vocals")


def apply(*wanted, sources=SOURCES):
    rng = np.random.default_rng(0)
    shares, mixture = rng.standard_normal((3, 2, 50)), rng.standard_normal((2, 50))
    selection = Selection.of(sources, wanted)
    stems, remainder = selection.apply(shares, mixture)
    np.testing.assert_allclose(remainder, mixture - shares.sum(0))
    return shares, mixture, dict(zip(selection.stems, stems, strict=True)), remainder


def test_all_sources_and_the_remainder_goes_to_other():
    shares, mixture, stems, remainder = apply()
    assert list(stems) == list(SOURCES)
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-12)
    np.testing.assert_allclose(stems["other"], shares[1] + remainder)
    assert np.array_equal(stems["bass"], shares[0])


def test_without_other_it_is_split():
    shares, mixture, stems, remainder = apply(sources=("a", "b", "c"))
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-12)
    np.testing.assert_allclose(stems["b"], shares[1] + remainder / 3, atol=1e-7)


def test_some_sources_are_the_same_as_among_all():
    everything, some = apply()[2], apply("vocals", "other")[2]
    assert list(some) == ["vocals", "other"]
    for name in some:
        np.testing.assert_allclose(some[name], everything[name], rtol=1e-6)  # float32 against float64


@pytest.mark.parametrize("wanted", [("vocals", "rest"), ("rest", "bass", "vocals"), (*SOURCES, "rest")])
def test_the_rest_is_the_mixture_minus_the_others(wanted):
    shares, mixture, stems, _ = apply(*wanted)
    assert tuple(stems) == wanted
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-6)
    for name in set(wanted) - {"rest"}:
        np.testing.assert_allclose(stems[name], shares[SOURCES.index(name)], atol=1e-6)


def test_the_matrix_says_which_sources_a_stem_is_made_of():
    assert Selection.of(SOURCES, ("vocals", "rest")).matrix.tolist() == [[0, 0, 1], [1, 1, 0]]
    assert Selection.of(SOURCES, (*SOURCES, "rest")).matrix[-1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (("piano",), "no source 'piano'; it has bass, other, vocals, rest"),
        (("four", "rest"), "no source .four.; .* stand alone"),
        (("rest",), "not 'rest' alone"),
        (("bass", "bass"), "each once"),
    ],
)
def test_mistakes(wanted, words):
    with pytest.raises(UserError, match=words):
        Selection.of(SOURCES, wanted)


def test_a_source_that_is_called_rest_is_a_source():
    selection = Selection.of(("rest", "bass"), ("rest", "bass"))
    assert not selection.has_rest and selection.complete


SIX = ("bass", "drums", "guitar", "other", "piano", "vocals")


def test_of_six_sources_four_stems_are_written_unless_six_are_asked_for():
    four = ("bass", "drums", "other", "vocals")
    assert Selection.of(SIX).stems == Selection.of(SIX, ("four",)).stems == four
    assert Selection.of(SIX, ("six",)).stems == SIX and Selection.of(SIX, ("guitar",)).stems == ("guitar",)
    assert Selection.of(SIX).complete and not Selection.of(SIX, four).complete
    assert Selection.of(SIX).matrix[2].tolist() == [0, 0, 1, 1, 1, 0]


@pytest.mark.parametrize("wanted", [(), ("four",), ("six",)])
@pytest.mark.parametrize("sources", [SOURCES, ("guitar", "other"), ("guitar", "piano")])
def test_a_model_without_guitar_and_piano_beside_other_has_its_own_sources(sources, wanted):
    assert Selection.of(sources, wanted) == Selection(sources, sources)


@pytest.mark.parametrize("channels", [1, 2])
def test_guitar_and_piano_are_added_to_other_exactly(channels):
    rng = np.random.default_rng(0)
    shares = rng.standard_normal((6, channels, 50)).astype(np.float32)
    mixture = rng.standard_normal((2, 50)).astype(np.float32)
    four, six = (
        dict(zip(s.stems, s.apply(shares, mixture)[0], strict=True))
        for s in (Selection.of(SIX), Selection.of(SIX, ("six",)))
    )
    assert np.array_equal(four.pop("other"), six["other"] + six["guitar"] + six["piano"])
    assert all(np.array_equal(stem, six[name]) for name, stem in four.items())
