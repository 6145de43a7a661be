"""BSS Eval by museval: version 4 (images, windowed) for tables that others can compare, version 3 (sources)
for old ones.

Costs about 0.7 s of CPU time and 25 MB per second of audio of four stereo sources; `vsep_ray.evaluation.sdr`
gives the same SDR for nothing.
"""

import shutil
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from vsep_ray.config import UserError


@dataclass(frozen=True)
class BssEval:
    """Ratios in dB, each (K, W) for W windows; NaN in the windows that museval leaves out (some source is all
    zeros there).

    Attributes:
        sdr: source to distortion.
        isr: source image to spatial distortion (images version only, else NaN).
        sir: source to interference.
        sar: sources to artefacts.
        permutation: (K,) index of the estimate that was matched to each reference.
    """

    sdr: np.ndarray
    isr: np.ndarray
    sir: np.ndarray
    sar: np.ndarray
    permutation: np.ndarray


def bsseval_v4(
    estimates: np.ndarray,
    references: np.ndarray,
    sample_rate: int,
    window_seconds: float = 1.0,
) -> BssEval:
    """The images version in windows, with one distortion filter of 512 taps for the whole track, as in SiSEC
    2018.

    Shape:
        (K, C, T), (K, C, T)

    Raises:
        UserError: ffmpeg is missing, or a source is all zeros in the references or the estimates.

    Source:
        Stöter, Liutkus, Ito (2018), "The 2018 Signal Separation Evaluation Campaign".
    """
    window = round(window_seconds * sample_rate)
    return _bss_eval(estimates, references, window=window, hop=window, framewise_filters=False, sources=False)


def bsseval_v3(estimates: np.ndarray, references: np.ndarray, *, images: bool = False) -> BssEval:
    """One window over the whole signal and the best permutation by mean SIR; the sources version unless
    ``images``.

    Shape:
        (K, C, T), (K, C, T); W = 1

    Raises:
        UserError: as `bsseval_v4`.

    Source:
        Vincent, Gribonval, Févotte (2006), "Performance measurement in blind audio source separation".
    """
    return _bss_eval(
        estimates,
        references,
        window=np.inf,
        hop=np.inf,
        framewise_filters=True,
        sources=not images,
        permute=True,
    )


def _bss_eval(
    estimates: np.ndarray,
    references: np.ndarray,
    *,
    window: float,
    hop: float,
    framewise_filters: bool,
    sources: bool,
    permute: bool = False,
) -> BssEval:
    metrics = _museval_metrics()
    _refuse_zeros(estimates, "estimates")
    _refuse_zeros(references, "references")
    sdr, isr, sir, sar, permutation = metrics.bss_eval(
        np.swapaxes(references, 1, 2),
        np.swapaxes(estimates, 1, 2),
        window=window,
        hop=hop,
        compute_permutation=permute,
        framewise_filters=framewise_filters,
        bsseval_sources_version=sources,
    )
    return BssEval(sdr, isr, sir, sar, permutation[:, 0])


def _museval_metrics() -> ModuleType:
    missing = [name for name in ("ffmpeg", "ffprobe") if shutil.which(name) is None]
    if missing:
        raise UserError(
            f"BSS Eval by museval needs {' and '.join(missing)} on the PATH; install ffmpeg (apt-get, "
            "brew or conda install ffmpeg), or do without --bsseval"
        )
    from museval import metrics

    return metrics


def _refuse_zeros(signals: np.ndarray, name: str) -> None:
    silent = np.flatnonzero((np.sum(signals, axis=1) == 0).all(-1))
    if len(silent):
        raise UserError(
            f"BSS Eval is undefined where a source is all zeros; leave {silent.tolist()} of the {name} out"
        )
