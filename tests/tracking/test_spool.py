import contextlib
import json
import threading

import pytest

from vsep_ray.tracking.spool import Spool, SpoolBusyError


def events(spool, limit=100):
    return [event["n"] for event, _ in spool.unsent(limit)]


def test_events_come_back_in_order_until_they_are_marked(tmp_path):
    spool = Spool(tmp_path / "a")
    for n in range(5):
        spool.append({"n": n})
    assert events(spool, 2) == events(spool, 2) == [0, 1]
    spool.mark_sent(spool.unsent(2)[-1][1])
    assert events(spool) == [2, 3, 4]
    spool.append({"n": 5})
    assert events(spool) == [2, 3, 4, 5]
    assert [event["n"] for event in spool.ends()] == [0, 5]


def test_a_folder_has_one_writer_and_outlives_it(tmp_path):
    spool = Spool(tmp_path / "a")
    spool.append({"n": 1})
    with pytest.raises(SpoolBusyError):
        Spool(tmp_path / "a")
    spool.close()
    again = Spool(tmp_path / "a")
    assert events(again) == [1]
    again.close(remove=True)
    assert not (tmp_path / "a").exists()


def test_a_replay_beside_it_takes_nothing_from_a_spool_that_begins(tmp_path):
    """Trackers start while others replay what they find: a new spool must not be taken for an old one."""
    over = threading.Event()

    def remove_all():
        while not over.is_set():
            for folder in tmp_path.glob("local-*"):
                with contextlib.suppress(SpoolBusyError, FileNotFoundError):
                    Spool(folder).close(remove=True)

    thread = threading.Thread(target=remove_all)
    thread.start()
    try:
        for i in range(200):
            spool = Spool.create(tmp_path / f"local-{i}")
            spool.append({"n": i})
            spool.write_note("run_id", "x")
            assert events(spool) == [i] and spool.note("run_id") == "x"
            spool.close(remove=i % 2 == 0)
    finally:
        over.set()
        thread.join()


def test_half_a_line_of_a_killed_writer_is_cut(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "events.jsonl").write_text(json.dumps({"n": 1}) + '\n{"n": ')
    spool = Spool(tmp_path / "a")
    spool.append({"n": 2})
    assert events(spool) == [1, 2]


def test_files_of_equal_names_do_not_collide(tmp_path):
    spool = Spool(tmp_path / "a")
    texts = ("first", "second")
    kept = [spool.keep("x.txt", lambda path, text=text: path.write_text(text)) for text in texts]
    assert [spool.file(name).read_text() for name in kept] == list(texts)


def test_many_threads_write_whole_lines(tmp_path):
    spool = Spool(tmp_path / "a")
    threads = [
        threading.Thread(target=lambda: [spool.append({"n": n}) for n in range(100)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(events(spool, 1000)) == sorted(list(range(100)) * 4)
