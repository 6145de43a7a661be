"""The latest of finished things, in any copy of them."""

import json
import os

from vsep_ray import storage


def put(folder, name, content, changed):
    path = folder / name / "done.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    os.utime(path, (changed, changed))


def test_what_files_say_counts_and_not_their_own_times(tmp_path):
    for i, name in enumerate(("c", "a", "b")):
        put(tmp_path, name, json.dumps({"x": 1} | storage.finished_now()), 2e9 - i)
    assert storage.newest_first(str(tmp_path), "done.json") == ["b/done.json", "a/done.json", "c/done.json"]


def test_files_that_say_nothing_count_by_their_times(tmp_path):
    put(tmp_path, "silent", "{}", 1e9)
    put(tmp_path, "torn", '{"fin', 1.1e9)
    put(tmp_path, "said", json.dumps({storage.FINISHED: "2001-01-01T00:00:00+00:00"}), 3e9)
    order = [path.partition("/")[0] for path in storage.newest_first(str(tmp_path), "done.json")]
    assert order == ["torn", "silent", "said"]
    assert storage.newest_first(str(tmp_path / "none"), "done.json") == []
