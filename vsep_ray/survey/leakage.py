"""Leakage between the stems of a song: what of a stem the others explain, beyond what chance explains.

Each stem is projected onto filtered versions of the others, frequency by frequency, which is least squares
over filters as long as a window; the share of energy that the projection has is the multiple coherence
(Bendat and Piersol 2010, section 7.3). Stems that play together in time and key share some of it without any
leak: what the others explain when they are moved to another time is taken off.
"""

import itertools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vsep_ray.audio.resampling import Audio
from vsep_ray.crops.encoding import SILENCE_DB, level_db
from vsep_ray.survey.features import Figures, power_of, window_of, windows
from vsep_ray.survey.findings import Finding

WINDOW_SECONDS = 0.03
"""Length of the filters (s), at most: 10 m on the way from one instrument to another's microphone."""
LEAST_SECONDS = 4.0
"""Audio (s) below which two stems that have nothing in common may seem to: no leak is looked for."""
LEAK = 0.05
"""Share of a stem's energy (-13 dB) from which it is a leak: a separator that is right scores no more than
13 dB against such a stem, as much as the best reach. Stems without leaks stay below 0.01."""
LOUDEST = 4.0
"""Gain of a filter (12 dB) above which it explains nothing: no leak is so much louder than its origin. Else a
bass would explain all cymbals, by a trace of them that it holds, times a thousand."""


def leaks(track: str, stems: Mapping[str, Audio], sample_rate: int) -> list[Finding]:
    """Returns the stems of a song that are another one, or have some of the others in them.

    Args:
        track: the song's id.
        stems: aligned crops by source, (N, C, T) each.
        sample_rate: Hz.
    """
    heard = {s: a for s, a in stems.items() if level_db(a).max() > SILENCE_DB}
    pairs = list(itertools.combinations(heard, 2))
    same = [(s, other) for s, other in pairs if np.array_equal(heard[s], heard[other])]
    certain = [Finding("identical", track, s, f"the same samples as {other}", np.inf) for s, other in same]
    apart = {s: a for s, a in heard.items() if not any(s in pair for pair in same)}
    return certain + _leaks(track, apart, sample_rate)


def explained(stems: NDArray[np.complexfloating], others: NDArray[np.complexfloating]) -> Figures:
    """Returns the share of a stem's energy that filters of the others explain, within `LOUDEST`.
    Shape: (F, N) and (K, F, N) spectra of N windows -> ().
    """
    cross = np.einsum("kfn,fn->fk", others.conj(), stems)
    power = np.einsum("ifn,jfn->fij", others.conj(), others)
    trace = np.einsum("fii->f", power).real[:, None, None] + 1e-20
    filters = np.linalg.solve(power + 1e-6 * trace * np.eye(len(others)), cross[..., None])[..., 0]
    filters[(np.abs(filters) > LOUDEST).any(axis=1)] = 0
    return np.einsum("fk,fk->", cross.conj(), filters).real / (power_of(stems).sum() + 1e-20)


def _leaks(track: str, stems: Mapping[str, Audio], sample_rate: int) -> list[Finding]:
    if len(stems) < 2 or min(a.shape[0] * a.shape[-1] for a in stems.values()) < LEAST_SECONDS * sample_rate:
        return []
    spectra = {s: _spectra(a, sample_rate) for s, a in stems.items()}
    found = []
    for source, spectrum in spectra.items():
        others = {s: x for s, x in spectra.items() if s != source}
        share = _beyond_chance(spectrum, np.stack(list(others.values())))
        if share >= LEAK:
            nearest = max(others, key=lambda s: float(explained(spectrum, others[s][None])))
            figure = f"{100 * share:.0f} % of it is also in {nearest}"
            found.append(Finding("leak", track, source, figure, share / LEAK))
    return found


def _beyond_chance(stem: NDArray[np.complexfloating], others: NDArray[np.complexfloating]) -> float:
    elsewhere = np.roll(others, others.shape[-1] // 2, axis=-1)
    return float(explained(stem, others) - explained(stem, elsewhere))


def _spectra(crops: Audio, sample_rate: int) -> NDArray[np.complexfloating]:
    """Returns the spectra of the channels' mean, (F, N), of all crops one after the other."""
    size = window_of(crops.shape[-1], round(WINDOW_SECONDS * sample_rate))
    spectra = windows(crops.mean(axis=1), size, size // 2)
    return spectra.reshape(-1, spectra.shape[-1]).T
