"""Tidy rows of scores, one per track, source and method, between floor (mixture) and ceiling (oracle)."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from vsep_ray.evaluation.bsseval import bsseval_v4
from vsep_ray.evaluation.oracle import oracle_mask
from vsep_ray.evaluation.sdr import framewise_sdr, leakage_db, si_sdr

FLOOR, CEILING = "mixture", "oracle"
METRICS = ("si_sdr_db", "si_sdr_improvement_db", "sdr_db")
EXTRA = ("leakage_db", "sir_db", "isr_db", "sar_db")
"""Summaries have these metrics only where there is a score."""


@dataclass(frozen=True)
class Score:
    """What one method reached for one source of one track, in dB; NaN where a score is not defined.

    Attributes:
        track: the track's id.
        source: the class.
        method: ``mixture`` is the floor, ``oracle`` the ceiling (the Wiener mask that knows the sources), the
            others stand between.
        si_sdr_db: `si_sdr`; NaN where the reference is silent.
        si_sdr_improvement_db: over the mixture as the estimate.
        sdr_db: museval v4's SDR, the median over windows of one second.
        leakage_db: of a silent reference, how much of the mixture came through; else NaN.
        sir_db: BSS Eval v4's source to interference ratio, the median over windows; NaN where it was not
            asked for, as the next two are.
        isr_db: the ratio of the source's image to its spatial distortion.
        sar_db: the ratio of the source to artefacts.
    """

    track: str
    source: str
    method: str
    si_sdr_db: float
    si_sdr_improvement_db: float
    sdr_db: float
    leakage_db: float
    sir_db: float = math.nan
    isr_db: float = math.nan
    sar_db: float = math.nan


def score_track(
    track: str,
    sources: Sequence[str],
    estimates: Mapping[str, Tensor],
    references: Tensor,
    mixture: Tensor,
    scales: Tensor,
    sample_rate: int,
    *,
    bsseval: bool = False,
) -> list[Score]:
    """Returns the scores of each method's estimates, between those of the mixture and of the oracle mask.

    A rest of the mixture that no reference explains is one more source to the oracle, and is not scored.

    Shape: estimates (each), references (K, C, T); mixture (C, T); scales (K,).

    Args:
        track: the track's id.
        sources: the K classes.
        estimates: by method.
        references: what they should be.
        mixture: what the methods were given.
        scales: the a_k of the mixing.
        sample_rate: Hz.
        bsseval: also BSS Eval v4 by museval (about 0.7 s of CPU time per second of audio and method).
    """
    scales = scales.to(references)
    rest = mixture - (scales[:, None, None] * references).sum(0, keepdim=True)
    ceiling = oracle_mask(torch.cat([references, rest]), torch.cat([scales, scales.new_ones(1)]))[:-1]
    rows, floor = [], mixture.expand_as(references)
    floor_db = si_sdr(floor, references)
    for method, estimate in {FLOOR: floor, **estimates, CEILING: ceiling}.items():
        score = si_sdr(estimate, references)
        columns = {
            "si_sdr_db": score,
            "si_sdr_improvement_db": score - floor_db,
            "sdr_db": _windowed_sdr(estimate, references, sample_rate),
            "leakage_db": leakage_db(estimate, mixture).where(score.isnan(), math.nan),
            **(_bss_columns(estimate, references, sample_rate) if bsseval else {}),
        }
        rows += [
            Score(track, s, method, **{n: column[k].item() for n, column in columns.items()})
            for k, s in enumerate(sources)
        ]
    return rows


def _windowed_sdr(estimates: Tensor, references: Tensor, sample_rate: int) -> Tensor:
    """Returns the median over windows; museval knows no absent sources, so they are left out first."""
    present = references.flatten(1).any(-1)
    sdr = torch.full(present.shape, math.nan, dtype=torch.float64)
    if present.any():
        windows = framewise_sdr(estimates[present], references[present], sample_rate)
        sdr[present] = windows.nanquantile(0.5, dim=-1)
    return sdr


def _bss_columns(estimates: Tensor, references: Tensor, sample_rate: int) -> dict[str, Tensor]:
    """Returns SIR, ISR and SAR, NaN for sources that are all zeros in the reference or the estimate."""
    usable = (references.sum(1) != 0).any(-1) & (estimates.sum(1) != 0).any(-1)
    columns = {
        n: torch.full(usable.shape, math.nan, dtype=torch.float64) for n in ("sir_db", "isr_db", "sar_db")
    }
    if usable.any():
        result = bsseval_v4(estimates[usable].numpy(), references[usable].numpy(), sample_rate)
        for name, column in columns.items():
            windows = torch.from_numpy(result[name.removesuffix("_db")])
            column[usable] = windows.nanquantile(0.5, dim=-1)
    return columns


def aggregate(scores: Iterable[Score]) -> dict[str, Any]:
    """Returns mean and median of each metric per method, over everything and per source; None where there is
    no score.

    Returns:
        ``{"mixture": {"si_sdr_db": {"mean", "median"}, ..., "silent": count, "leakage_db": ..., "sources":
        {name: the same}}, ...}``
    """
    table = _table(scores)
    sources = table["source"].unique()
    return {
        method: {**_summaries(mine), "sources": {s: _summaries(mine[mine["source"] == s]) for s in sources}}
        for method, mine in table.groupby("method", sort=False)
    }


def worst_first(scores: Iterable[Score]) -> list[str]:
    """Returns track ids by the methods' mean SI-SDR improvement, the lowest first, tracks without any score
    last.
    """
    table = _table(scores)
    models = table[~table["method"].isin((FLOOR, CEILING))]
    means = models.groupby("track", sort=False)["si_sdr_improvement_db"].mean()
    return list(means.sort_values(kind="stable").index)


def _table(scores: Iterable[Score]) -> pd.DataFrame:
    return pd.DataFrame(list(scores), columns=[f.name for f in dataclasses.fields(Score)])


def _summaries(table: pd.DataFrame) -> dict[str, Any]:
    shown = [*METRICS, *(m for m in EXTRA if table[m].notna().any())]
    pairs = {m: {"mean": _rounded(table[m].mean()), "median": _rounded(table[m].median())} for m in shown}
    return {**pairs, "silent": int(table["si_sdr_db"].isna().sum())}


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 3)
