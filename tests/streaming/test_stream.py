"""One file through the whole stream: sums, lengths, equality with in-memory overlap-add, errors, threads."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from vsep_ray.audio import io
from vsep_ray.audio.formats import Failure
from vsep_ray.audio.resampling import map_channels, resample
from vsep_ray.chunking import overlap_add
from vsep_ray.streaming import Chunking, Model, Selection, Stems, encode, separate_files

CHUNKING = Chunking(chunk=2000, hop=1500, batch_size=2)


def network(sources, channels):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv1d(channels, 8, 9, padding=4), nn.Tanh())
    body.append(nn.Conv1d(8, len(sources) * channels, 9, padding=4))
    return torch.no_grad()(lambda x: body(x).unflatten(1, (len(sources), channels)))


def model(sources=("bass", "other"), rate=8000, channels=1):
    return Model(network(sources, channels), sources, rate, channels)


def song(tmp_path, rate, channels, seconds=2.3, level=0.1):
    rng = np.random.default_rng(0)
    audio = (level * rng.standard_normal((channels, int(rate * seconds) + 13))).astype(np.float32)
    io.write(tmp_path / "song.wav", audio, rate)
    return str(tmp_path / "song.wav"), audio


def separate(tmp_path, uri, model, format="wav", subtype="auto"):
    (stems,) = separate_files([uri], model, CHUNKING, Selection.of(model.sources, ()), format)
    assert isinstance(stems, Stems), stems
    paths = [tmp_path / f"{s}.{format}" for s in stems.selection.stems]
    stems.gain = encode(stems, paths, format, subtype, [{} for _ in paths])
    return stems, [io.read(path) for path in paths]


@pytest.mark.parametrize("sources", [("bass", "other"), ("a", "b", "c")])
@pytest.mark.parametrize(
    ("rate", "channels"), [(8000, 1), (48_000, 2), (44_100, 1), (11_025, 3), (96_000, 6), (6000, 2)]
)
@pytest.mark.parametrize(("format", "subtype"), [("wav", "float"), ("flac", "24")])
def test_stems_sum_to_the_mixture_at_its_rate_channels_and_length(
    tmp_path, rate, channels, sources, format, subtype
):
    uri, audio = song(tmp_path, rate, channels)
    measures, stems = separate(tmp_path, uri, model(sources), format, subtype)
    assert all(stem.shape == audio.shape and r == rate for stem, r in stems)
    residual = sum(stem.astype(np.float64) for stem, _ in stems) - measures.gain * audio
    assert 10 * np.log10((residual**2).sum() / (audio.astype(np.float64) ** 2).sum()) < -100
    assert measures.peak == pytest.approx(
        max(np.abs(stem).max() for stem, _ in stems) / measures.gain, rel=1e-5
    )


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (22_050, 2)])
def test_the_stream_equals_in_memory_processing(tmp_path, rate, channels):
    uri, audio = song(tmp_path, rate, channels, seconds=20)
    m = model()
    _, stems = separate(tmp_path, uri, m)
    mono = torch.from_numpy(resample(map_channels(audio, 1), rate, 8000))
    estimates = torch.cat(list(overlap_add(m.separate, [mono], chunk=2000, hop=1500)), -1)
    back = resample(estimates[0].numpy(), 8000, rate)  # bass: the remainder goes to other
    expected = map_channels(back, channels)[:, : audio.shape[1]]
    assert np.abs(stems[0][0][:, : expected.shape[1]] - expected).max() < 1e-5


@pytest.mark.parametrize("length", [1, 2, 1999, 2000, 2001, 65_536, 65_537])
def test_any_length(tmp_path, length):
    audio = np.full((1, length), 0.25, np.float32)
    io.write(tmp_path / "song.wav", audio, 44_100)
    _, stems = separate(tmp_path, str(tmp_path / "song.wav"), model())
    assert np.allclose(sum(stem for stem, _ in stems), audio, atol=1e-6)


def test_silence_stays_silent(tmp_path):
    io.write(tmp_path / "song.wav", np.zeros((2, 5000), np.float32), 8000)
    silent = Model(lambda m: torch.zeros(len(m), 2, *m.shape[1:]), ("a", "b"), 8000, 2)
    measures, stems = separate(tmp_path, str(tmp_path / "song.wav"), silent, "flac")
    assert (measures.peak, measures.gain, measures.remainder_db) == (0, 1, -200)
    assert not any(stem.any() for stem, _ in stems)


def test_a_model_without_numbers_is_an_error_of_the_model(tmp_path):
    uri, _ = song(tmp_path, 8000, 1)
    broken = Model(lambda m: m[:, None] * float("nan"), ("a",), 8000, 1)
    (failure,) = outcomes([uri], broken)
    assert failure == Failure("separate", "the model returned samples that are not finite (NaN or infinite)")


def test_a_format_that_cannot_hold_the_rate_is_refused_before_work(tmp_path):
    uri, _ = song(tmp_path, 44_100, 2)
    never = Model(lambda m: pytest.fail("the model ran"), ("a",), 8000, 1)
    (failure,) = outcomes([uri], never, format="opus")
    assert failure.stage == "format"
    assert failure.message.startswith("opus cannot hold 44100 Hz") and "wav" in failure.message


def test_failures_in_a_thread_surface_and_no_thread_stays(tmp_path):
    uri, audio = song(tmp_path, 8000, 1, seconds=60)
    audio[0, 300_000] = np.nan
    io.write(uri, audio, 8000)
    before = threading.active_count()
    (failure,) = outcomes([uri], model())
    assert failure == Failure("decode", "sample 300000 is not finite (NaN or infinite)")
    assert threading.active_count() == before


def outcomes(uris, m, wanted=(), format="wav", threaded=True):
    selection = Selection.of(m.sources, wanted)
    return list(separate_files(uris, m, CHUNKING, selection, format, threaded=threaded))


def test_threads_change_no_bit_and_without_them_all_is_done_by_the_caller(tmp_path):
    uris = [song(tmp_path, 11_025, 2, seconds=3)[0], str(tmp_path / "gone.wav"), str(tmp_path / "song.wav")]
    callers, m = set(), model()

    def noting(mixture):
        callers.add(threading.get_ident())
        return m.separate(mixture)

    beside = outcomes(uris, m)
    here = outcomes(uris, Model(noting, m.sources, 8000, 1), threaded=False)
    assert callers == {threading.get_ident()}
    assert [type(one) for one in here] == [type(one) for one in beside] == [Stems, Failure, Stems]
    for a, b in zip(here, beside, strict=True):
        if isinstance(a, Stems):
            for (stems, mixture), (stems_2, mixture_2) in zip(a.blocks(), b.blocks(), strict=True):
                assert np.array_equal(stems, stems_2) and np.array_equal(mixture, mixture_2)


def test_batches_fill_across_short_files_and_no_file_depends_on_its_neighbours(tmp_path):
    uris = []
    for i, length in enumerate([300, 5000, 2000, 1, 2500]):
        uris.append(str(tmp_path / f"{i}.wav"))
        io.write(uris[-1], np.random.default_rng(i).uniform(-1, 1, (1, length)).astype(np.float32), 8000)
    shapes, m = [], model()

    def counting(mixture):
        shapes.append(tuple(mixture.shape))
        return m.separate(mixture)

    together = outcomes(uris, Model(counting, m.sources, 8000, 1))
    assert shapes == [(2, 1, 2000)] * 4  # 1 + 3 + 1 + 1 + 2 chunks
    for uri, stems in zip(uris, together, strict=True):
        (alone,) = outcomes([uri], m)
        for (a, _), (b, _) in zip(stems.blocks(), alone.blocks(), strict=True):
            assert np.array_equal(a, b)


def test_a_bad_file_among_others_is_an_outcome_in_its_place(tmp_path):
    uri, _ = song(tmp_path, 8000, 1)
    (tmp_path / "bad.wav").write_text("not sound")
    io.write(tmp_path / "late.wav", np.zeros((1, 70_000), np.float32), 8000)
    whole = (tmp_path / "late.wav").read_bytes()
    (tmp_path / "late.wav").write_bytes(whole[:-4] + np.float32(np.nan).tobytes())
    bad = [str(tmp_path / name) for name in ("bad.wav", "late.wav", "gone.wav")]
    found = outcomes([bad[0], uri, bad[1], uri, bad[2]], model())
    assert [getattr(outcome, "stage", "") for outcome in found] == ["decode", "", "decode", "", "read"]
    blocks = [np.concatenate([stems for stems, _ in found[i].blocks()], -1) for i in (1, 3)]
    assert np.array_equal(*blocks)


def test_the_models_variances_become_a_confidence_per_stem(tmp_path):
    uri, _ = song(tmp_path, 8000, 1, level=0.1)

    def separate(mixture):
        shares = torch.stack([0.25 * mixture, 0.75 * mixture], 1)
        variance = torch.stack([torch.full_like(mixture, 1e-4), torch.full_like(mixture, 1e-6)], 1)
        return torch.cat([shares, variance], 1)

    m = Model(separate, ("bass", "drums"), 8000, 1)
    for wanted, expected in [((), (8.0, 37.5)), (("drums", "rest"), (17.5, 28.0))]:
        (stems,) = outcomes([uri], m, wanted)
        # 10 log10 of (0.01 * share^2) / variance; the variances belong to the stems in their order
        assert stems.confidence_db == pytest.approx(expected, abs=0.2)
    (without,) = outcomes([uri], model())
    assert without.confidence_db == ()


def test_a_model_that_fails_early_in_a_long_file_stops_its_reader_and_no_other(tmp_path):
    uri, _ = song(tmp_path, 8000, 1, seconds=120)
    io.write(tmp_path / "next.wav", np.full((1, 3000), 0.1, np.float32), 8000)
    m = model()

    def separate(mixture):
        # item by item: the reader stops anywhere, and the last chunk of one file may share the other's batch
        loud = mixture.abs().amax((1, 2)) > 0.2
        return m.separate(mixture).masked_fill(loud[:, None, None, None], float("nan"))

    broken, good = outcomes([uri, str(tmp_path / "next.wav")], Model(separate, m.sources, 8000, 1))
    assert (broken.stage, good.length) == ("separate", 3000)
    assert sum(block.shape[1] for _, block in good.blocks()) == 3000
