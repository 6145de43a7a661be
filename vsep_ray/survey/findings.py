"""What a gate would refuse: songs whose sound was spoilt before it came here, each with its figure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vsep_ray.audio.resampling import Audio
from vsep_ray.survey.features import Figures

FULL_SCALE, RUN = 0.9999, 3
"""A sample is at full scale from here to 1 (three steps of 16 bits); three in a row are an over, as meters
count them: a wave that merely touches full scale does so for one sample or two."""
CLIPPED = 1e-4
"""Share of samples in overs from which a song is clipped: four of 44,100, an over in every second. Masters
have single ones, which nobody hears."""
NARROW = 0.6
"""A song whose band ends below this share of the Nyquist frequency was recorded at a lower rate: 22.05 kHz in
a store of 44.1 kHz ends at 0.5. Lossy files end at 16 kHz, which is 0.73 there, and pass."""
EDGE_DB, TILT_DB = 20.0, 50.0
"""A band ends where everything between 60 and 93 % of a frequency is so much louder than anything above 108 %
of it, and differs among itself by no more than the second figure: a pure tone alone is no band. Instruments
fade by some dB only within so little, a resampler by 80."""
BANDS, LEAST_BINS = 128, 256
"""Bands that a spectrum is looked at in, and the fewest bins that suffice."""
OFFSET = 0.01
"""Mean of all samples (of full scale, -40 dB) from which a song has an offset: a hundred times that of
converters, and as much as a soft sound. Sums of sources add it up, and cuts of it click. Single drum hits
that end below where they began have up to half of it."""
STEP = 1 / 32_768
"""Two channels whose samples nowhere differ by more, one step of 16 bits, are one."""


@dataclass(frozen=True)
class Finding:
    """Something is wrong, or remarkable, with one source of one song.

    Attributes:
        kind: what, in one or two words.
        track: the song's id.
        source: the class.
        figure: how much, in words.
        times: the figure over its threshold, by which findings are sorted; inf is certain.
        note: whether it is a remark only, which no gate would refuse.
    """

    kind: str
    track: str
    source: str
    figure: str
    times: float
    note: bool = False


def findings(
    track: str, source: str, crops: Audio, loudest: Audio, power: Figures, rate: int
) -> list[Finding]:
    """Returns what is wrong with a source of a song.

    Args:
        track: the song's id.
        source: the class.
        crops: audible ones, (N, C, T).
        loudest: those with the highest peak, (M, C, T).
        power: the spectrum of the crops, (F,).
        rate: Hz.
    """
    share, edge, offset, khz = clipped(loudest), band_edge(power), dc_offset(crops), rate / 2_000
    said = {
        "clipped": (share / CLIPPED, f"{100 * share:.2g} % of the samples at full scale, in overs"),
        "wrong rate": (NARROW / edge, f"nothing above {edge * khz:.1f} kHz of {khz:.1f}"),
        "DC offset": (offset / OFFSET, f"{100 * offset:.1f} % of full scale"),
        "mono": (float(one_channel(crops)), "both channels are the same"),
    }
    return [
        Finding(kind, track, source, figure, times, note=kind == "mono")
        for kind, (times, figure) in said.items()
        if times >= 1
    ]


def worst_first(found: Iterable[Finding]) -> list[Finding]:
    """Returns findings in order: what is certain first, then by how far they pass their threshold, notes
    last.
    """
    return sorted(found, key=lambda f: (f.note, -f.times, f.kind, f.track, f.source))


def clipped(crops: Audio) -> float:
    """Returns the share of samples that lie in three or more of one channel in a row at full scale.

    What was clipped and then resampled, or made softer, is not found. Shape: (N, C, T) -> ().
    """
    if max(crops.max(), -crops.min()) < FULL_SCALE or crops.shape[-1] < RUN:
        return 0.0
    peak = np.abs(crops)
    full = (peak >= FULL_SCALE) & (peak <= 1)
    last = crops.shape[-1] - RUN + 1
    starts = np.logical_and.reduce([full[..., i : i + last] for i in range(RUN)])
    inside = np.zeros_like(full)
    for i in range(RUN):
        inside[..., i : i + last] |= starts
    return float(inside.mean())


def band_edge(power: Figures) -> float:
    """Returns where a spectrum ends abruptly, as a share of the Nyquist frequency; 1 where it does not, or
    where it has too few bins to tell. Shape: (F,) -> ().
    """
    if len(power) <= LEAST_BINS:
        return 1.0
    bands = 10 * np.log10(power[1:].reshape(BANDS, -1).mean(axis=1) + 1e-15)
    edges = range(BANDS // 5, math.ceil(NARROW * BANDS))
    drops = [_drop(bands[int(0.6 * e) : int(0.93 * e)], bands[int(1.08 * e) + 1 :]) for e in edges]
    return edges[int(np.argmax(drops))] / BANDS if max(drops) >= EDGE_DB else 1.0


def dc_offset(crops: Audio) -> float:
    """Returns the magnitude of the mean of the channel that is farthest from zero. Crops are weighted by Hann
    windows: of a plain mean, low tones that do not end with the crop would be part.

    Shape: (N, C, T) -> ().
    """
    window = np.hanning(crops.shape[-1] + 2)[1:-1].astype(np.float32)
    return float(np.abs((crops @ (window / window.sum())).mean(axis=0)).max())


def one_channel(crops: Audio) -> bool:
    """Returns whether stereo crops are mono: both channels the same. Shape: (N, C, T) -> ()."""
    return crops.shape[1] == 2 and bool(np.abs(crops[:, 0] - crops[:, 1]).max() <= STEP)


def _drop(below: Figures, above: Figures) -> float:
    return float(below.min() - above.max()) if np.ptp(below) <= TILT_DB else 0.0
