"""The page of a catalog run: what was done, what failed, whom to doubt, and some tracks to listen to."""

from collections.abc import Mapping, Sequence
from typing import Any

from vsep_ray.report import parts
from vsep_ray.report.media import Clip

Row = Mapping[str, Any]
SHOWN = ("track", "seconds", "Hz", "channels", "gain", "remainder, dB", "least confidence, dB")
FAILED = ("track", "stage", "message", "attempts")
PROSE = ("track", "stage", "message")
"""Columns of words, which are wrapped and stand left."""


def catalog_page(
    title: str,
    facts: Mapping[str, Any],
    failed: Sequence[Row],
    shown: Sequence[Row],
    stems: Sequence[str],
    clips: Sequence[Clip],
) -> str:
    """Returns one HTML document that makes no request.

    Args:
        title: the heading.
        facts: figures of the run, shown as a list.
        failed: ledger rows of tracks that failed.
        shown: ledger rows of the tracks to listen to, in the order of the page.
        stems: names of the stems, in the order of the rows' confidences.
        clips: their sounds: the mixture, and the stems as they were written.
    """
    confidence = {
        (row["track"], source): value
        for row in shown
        for source, value in zip(stems, row["confidence_db"] or [], strict=False)
    }

    def caption(clip: Clip) -> str:
        value = confidence.get((clip.track, clip.name))
        return clip.method if value is None else f"confidence {value:.1f} dB"

    return parts.document(title, [
        parts.facts(facts),
        "<h2>Listen, the most doubtful first</h2>" if confidence else "<h2>Listen</h2>" if clips else "",
        parts.table(SHOWN, [("", _cells(row)) for row in shown], PROSE),
        parts.words(["gain", "remainder", "confidence", "silent"]) if shown else "",
        parts.players(clips, caption),
        f"<h2>Failed: {len(failed)}</h2>" if failed else "",
        parts.table(FAILED, [("", [row[column] for column in FAILED]) for row in failed], PROSE),
    ])  # fmt: skip


def _cells(row: Row) -> list[Any]:
    lowest = row["lowest_confidence_db"]
    return [
        row["track"],
        round(row["audio_seconds"], 1),
        row["sample_rate"],
        row["channels"],
        round(row["gain"], 3),
        round(row["remainder_db"], 1),
        "-" if lowest is None else round(lowest, 1),
    ]
