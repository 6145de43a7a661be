"""MUSDB18 trees made on the fly: musdb's splits, and audio exact to the 16 bits that musdb decodes to."""

import shutil
import subprocess
import tracemalloc

import av
import numpy as np
import pytest
import soundfile
from stores import read_paired

from vsep_ray import storage
from vsep_ray.config import UserError
from vsep_ray.crops.reading import read_crops
from vsep_ray.crops.store import CropStore
from vsep_ray.crops.writing import begin, divide, finish, write_unit
from vsep_ray.datasets import streams
from vsep_ray.datasets.musdb import SOURCES, MUSDB18Config, MUSDB18HQConfig
from vsep_ray.datasets.streams import BadFileError, aligned, whole
from vsep_ray.datasets.track import MIXTURE, PUBLISHED, CropConfig
from vsep_ray.storage import files

VALID = "Actions - One Minute Smile"
VALIDS = [VALID, "Clara Berry And Wooldog - Waltz For My Victims", "Johnny Lokke - Promises & Lies"]
RATE = 44_100
TRAINS, TESTS = [f"A - {i}" for i in range(3)], [f"B - {i}" for i in range(3)]
TREE = [("train", t) for t in TRAINS + VALIDS] + [("test", t) for t in TESTS]


@pytest.fixture(scope="module")
def stem_root(tmp_path_factory):
    import stempeg

    root = tmp_path_factory.mktemp("musdb18")
    rng = np.random.default_rng(0)
    for subset, title in TREE:
        (root / subset).mkdir(exist_ok=True)
        audio = rng.uniform(-0.1, 0.1, (5, RATE, 2))
        path = str(root / subset / f"{title}.stem.mp4")
        stempeg.write_stems(path, audio, sample_rate=RATE, writer=stempeg.StreamsWriter())
    return root


@pytest.fixture(scope="module")
def wav_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("musdb18hq")
    rng = np.random.default_rng(0)
    for subset, title in TREE:
        (root / subset / title).mkdir(parents=True)
        for name in ("mixture", *SOURCES):
            soundfile.write(root / subset / title / f"{name}.wav", rng.uniform(-0.1, 0.1, (RATE, 2)), RATE)
    return root


def names_by_musdb(root, is_wav):
    import musdb

    def names(**options):
        return sorted(t.name for t in musdb.DB(root=str(root), is_wav=is_wav, **options))

    train, valid = names(subsets="train", split="train"), names(subsets="train", split="valid")
    return {"train": train, "valid": valid, "test": names(subsets="test")}


@pytest.mark.parametrize("is_wav", [False, True])
def test_splits_are_those_of_musdb(request, is_wav):
    root = request.getfixturevalue("wav_root" if is_wav else "stem_root")
    tracks = (MUSDB18HQConfig if is_wav else MUSDB18Config)(str(root)).find()
    found = {split: sorted(t.id for t in tracks if t.split == split) for split in ("train", "valid", "test")}
    assert found == names_by_musdb(root, is_wav) == {"train": TRAINS, "valid": VALIDS, "test": TESTS}


CROP = CropConfig(sample_rate=RATE, channels=2, length=10_000)


def store_of(uri, tracks, open_track):
    store = CropStore(
        uri=str(uri),
        dataset="musdb18",
        **vars(CROP),
        sources=SOURCES,
        scales=(1.0,) * 4,
        paired=True,
        fingerprint="abc",
    )
    begin(store, fresh=False)
    done = [write_unit(store, unit, open_track) for unit in divide(tracks, [1] * len(tracks))]
    return finish(store, done, "")


def joined(audio):
    return audio.swapaxes(0, 1).reshape(2, -1)


def test_stem_files_come_back_sample_exact_against_musdb(stem_root, tmp_path):
    import musdb

    tracks = MUSDB18Config(str(stem_root)).find()
    store = store_of(tmp_path, tracks, lambda t: MUSDB18Config().open(t, CROP))
    for track in musdb.DB(root=str(stem_root), subsets="test"):
        direct = track.stems.astype(np.float32).swapaxes(1, 2)
        check_stored(store, "test", track.name, direct)
    _, sources = read_paired(store, "test")
    mixture = read_crops(store, "test", MIXTURE).audio
    np.testing.assert_allclose(mixture, sources.sum(1), atol=1 / 65_536 * 1.01)


def check_stored(store, split, title, direct):
    """Against (5, C, T) of a direct decode, sample by sample."""
    length = direct.shape[2]
    for stored, expected in zip(stored_streams(store, split, title), direct, strict=True):
        np.testing.assert_array_equal(stored[:, :length], expected)
        assert not stored[:, length:].any()


def stored_streams(store, split, title):
    for source in (PUBLISHED, *SOURCES):
        crops = read_crops(store, split, source)
        yield joined(crops.audio[[t == title for t in crops.track]])


def test_a_real_stem_file_comes_back_as_ffmpeg_decodes_it(tmp_path):
    """Versions of FFmpeg differ in the last bit of a few AAC samples in a million."""
    import stempeg

    (tmp_path / "root/train").mkdir(parents=True)
    title = "The Easton Ellises - Falcon 69"
    shutil.copy(stempeg.example_stem_path(), tmp_path / f"root/train/{title}.stem.mp4")
    tracks = MUSDB18Config(str(tmp_path / "root")).find()
    store = store_of(tmp_path / "store", tracks, lambda t: MUSDB18Config().open(t, CROP))
    direct = np.stack([decoded(tracks[0].uri, k) for k in range(5)])
    assert direct.shape[2] > 5 * RATE and direct.any()
    for stored, expected in zip(stored_streams(store, "train", title), direct, strict=True):
        steps = np.abs(stored[:, : direct.shape[2]] - expected) * 32_768
        assert steps.max() <= 1 and np.count_nonzero(steps) < 1e-4 * steps.size


@pytest.mark.parametrize("loud", [False, True])
def test_stem_files_are_read_as_by_musdb_without_ffmpeg_in_constant_memory(tmp_path, loud, monkeypatch):
    """Also where AAC exceeds full scale, and musdb's 16 bits clip."""
    import musdb
    import stempeg

    path = tmp_path / "train" / "A - Long.stem.mp4"
    path.parent.mkdir()
    audio = np.random.default_rng(0).uniform(-1, 1, (5, 20 * RATE, 2)) * (1.0 if loud else 0.1)
    stempeg.write_stems(str(path), audio, sample_rate=RATE, writer=stempeg.StreamsWriter())
    (direct,) = (t.stems.astype(np.float32).swapaxes(1, 2) for t in musdb.DB(str(tmp_path), subsets="train"))
    assert loud == (np.abs(direct).max() == 1)
    monkeypatch.setenv("PATH", "")
    (track,) = MUSDB18Config(str(tmp_path)).find()
    opened = MUSDB18Config().open(track, CROP)
    tracemalloc.start()
    first = {source: next(stream) for source, stream in opened.items()}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < direct.nbytes / 2  # blocks of five streams, not the whole file
    for expected, (source, stream) in zip(direct, opened.items(), strict=True):
        np.testing.assert_array_equal(np.concatenate([first[source], *stream], axis=1), expected)


def test_a_stem_file_in_a_bucket_is_fetched_once(stem_root, bucket, monkeypatch):
    title, fetched, download = TESTS[0], [], files.download
    uri = storage.join(bucket, "test", f"{title}.stem.mp4")
    storage.upload(stem_root / "test" / f"{title}.stem.mp4", uri)
    monkeypatch.setattr(files, "download", lambda uri, path: fetched.append(uri) or download(uri, path))
    (remote,) = MUSDB18Config(bucket).find()
    local = next(t for t in MUSDB18Config(str(stem_root)).find() if t.id == title)
    crops, expected = (aligned(MUSDB18Config().open(t, CROP), CROP.length) for t in (remote, local))
    for crop, other in zip(crops, expected, strict=True):
        assert all(np.array_equal(crop[source], other[source]) for source in (PUBLISHED, *SOURCES))
    assert fetched == [uri]


def test_a_stem_file_with_too_few_streams_is_a_bad_file(tmp_path):
    path = tmp_path / "train" / "A - Mix.stem.mp4"
    path.parent.mkdir()
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=RATE, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1_024), np.float32), format="fltp", layout="stereo")
        frame.rate = RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    (track,) = MUSDB18Config(str(tmp_path)).find()
    with pytest.raises(BadFileError, match="1 streams of sound, and number 2 was asked for"):
        whole(MUSDB18Config().open(track, CROP))


def decoded(path, k):
    """Stream k by ffmpeg itself: float32 (2, T)."""
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", f"0:{k}", "-f", "s16le", "-"]
    content = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(content, "<i2").reshape(-1, 2).T.astype(np.float32) / 32_768


def test_wav_files_come_back_sample_exact(wav_root, tmp_path):
    tracks = MUSDB18HQConfig(str(wav_root)).find()
    store = store_of(tmp_path, tracks, lambda t: streams.open_stems(t, CROP))
    for source, name in ((PUBLISHED, "mixture"), ("vocals", "vocals")):
        expected, _ = soundfile.read(wav_root / "train" / VALID / f"{name}.wav", dtype="float32")
        crops = read_crops(store, "valid", source)
        stored = joined(crops.audio[[t == VALID for t in crops.track]])
        np.testing.assert_array_equal(stored[:, :RATE], expected.T)


def test_a_damaged_stem_file_is_one_bad_file(stem_root, tmp_path):
    (tmp_path / "train").mkdir()
    path = tmp_path / "train" / "C - Bad.stem.mp4"
    path.write_bytes(b"rubbish" * 100)
    (track,) = MUSDB18Config(str(tmp_path)).find()
    with pytest.raises(BadFileError, match="Invalid data") as caught:
        whole(MUSDB18Config().open(track, CROP))
    assert (caught.value.uri, caught.value.stage) == (str(path), "decode")
    path.unlink()
    with pytest.raises(BadFileError) as caught:
        whole(MUSDB18Config().open(track, CROP))
    assert caught.value.stage == "read"


def test_mistakes_are_named(tmp_path, stem_root):
    with pytest.raises(UserError, match=r"train/Artist - Title\.stem\.mp4"):
        MUSDB18Config(str(tmp_path)).find()
    with pytest.raises(UserError, match=r"vocals.*\.wav"):
        MUSDB18HQConfig(str(stem_root)).find()
