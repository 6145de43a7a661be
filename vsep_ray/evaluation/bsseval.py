"""BSS Eval version 4 by museval, for tables that others can compare.

It costs about 0.7 s of CPU time and 25 MB per second of audio of four stereo sources;
`vsep_ray.evaluation.sdr` gives the same SDR for nothing.
"""

import shutil
from types import ModuleType

import numpy as np

from vsep_ray.config import UserError

RATIOS = ("sdr", "isr", "sir", "sar")
"""Ratios of a source to distortion, of its image to spatial distortion, to interference and to artefacts."""


def bsseval_v4(
    estimates: np.ndarray,
    references: np.ndarray,
    sample_rate: int,
    window_seconds: float = 1.0,
) -> dict[str, np.ndarray]:
    """Returns the `RATIOS` (dB) of the images version, NaN in a window where some source is all zeros. One
    distortion filter of 512 taps serves the whole track, as in SiSEC 2018.

    Shape: (K, C, T), (K, C, T) -> (K, W) each, for W windows.

    Raises:
        UserError: ffmpeg is missing, or a source is all zeros in the references or the estimates.

    Reference: Stöter, Liutkus, Ito (2018), "The 2018 Signal Separation Evaluation Campaign".
    """
    museval = _museval_metrics()
    _refuse_zeros(estimates, "estimates")
    _refuse_zeros(references, "references")
    window = round(window_seconds * sample_rate)
    signals = (np.swapaxes(x, 1, 2) for x in (references, estimates))
    found = museval.bss_eval(*signals, window=window, hop=window, framewise_filters=False)
    return dict(zip(RATIOS, found, strict=False))  # museval's last value is a permutation


def require_ffmpeg(who: str, otherwise: str = "") -> None:
    """Checks for the programs that musdb, stempeg and museval call.

    Raises:
        UserError: ffmpeg or ffprobe is missing.
    """
    missing = [name for name in ("ffmpeg", "ffprobe") if shutil.which(name) is None]
    if missing:
        raise UserError(
            f"{who} {' and '.join(missing)} on the PATH; install ffmpeg (apt-get, brew or conda install "
            f"ffmpeg){otherwise}"
        )


def _museval_metrics() -> ModuleType:
    require_ffmpeg("BSS Eval by museval needs", ", or do without --bsseval")
    from museval import metrics

    return metrics


def _refuse_zeros(signals: np.ndarray, name: str) -> None:
    silent = np.flatnonzero((np.sum(signals, axis=1) == 0).all(-1))
    if len(silent):
        raise UserError(
            f"BSS Eval is undefined where a source is all zeros; leave {silent.tolist()} of the {name} out"
        )
