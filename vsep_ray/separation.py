"""Music in memory becomes stems, by the same stream and with the same defaults as a catalog's files.

    import vsep_ray
    stems = vsep_ray.separate(audio, 44_100)  # (C, T) -> {"vocals": (C, T), ...}

Neither Ray nor MLflow is needed.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

from vsep_ray import checkpoint, pretrained
from vsep_ray.audio import io
from vsep_ray.audio.formats import Failure
from vsep_ray.audio.resampling import Audio
from vsep_ray.chunking import CHUNK_SECONDS, OVERLAP
from vsep_ray.config import UserError
from vsep_ray.pretrained import BUNDLED
from vsep_ray.separators import Separator
from vsep_ray.streaming import Selection, separate_files
from vsep_ray.streaming.model import chunking, stream_model


def load_separator(model: str | Path = BUNDLED) -> Separator:
    """Returns a separator on the CPU, to give to `separate` more than once.

    Args:
        model: ``bundled``, the one that comes with the package, or a checkpoint directory, local or in a
            bucket.

    Raises:
        UserError: there is no such separator; registered models are for the jobs and for MLflow to load.
    """
    if str(model) == BUNDLED:
        return checkpoint.load_separator(pretrained.directory())
    if str(model).startswith(("models:/", "runs:/")):
        raise UserError(f"{model} is MLflow's; load it with mlflow.pyfunc.load_model, or name its directory")
    return checkpoint.load_separator(model)


def separate(
    audio: ArrayLike,
    sample_rate: int,
    model: str | Path | Separator = BUNDLED,
    sources: str | Sequence[str] = (),
) -> dict[str, Audio]:
    """Returns the stems of a piece of music by name, at its own sample rate, channels and length.

    They sum to it, and are those that ``jobs/separate_catalog.py --sources`` writes of the same samples, to
    the last bit: like one of its workers, this computes in one thread, on a GPU where there is one.

    Shape: (C, T) -> (C, T) each, float32.

    Args:
        audio: floats, full scale is 1; channels come first, so that mono is (1, T).
        sample_rate: Hz; the model's own rate and channels are there and back again its affair.
        model: as for `load_separator`, or what that returned.
        sources: ``four`` (default), ``six``, or names with or without ``rest``, as in ``"vocals rest"``.

    Raises:
        UserError: the audio has another shape or type, no samples, or some that are not finite; there is no
            such model, or it has no such source.
    """
    music = _checked(audio, sample_rate)
    separator = model if isinstance(model, Separator) else load_separator(model)
    wanted = sources.split() if isinstance(sources, str) else sources
    selection = Selection.of(separator.sources, wanted)
    with _one_thread():
        stems = _stems(music, sample_rate, separator, selection)
    return dict(zip(selection.stems, stems, strict=True))


def _checked(audio: ArrayLike, sample_rate: int) -> Audio:
    if sample_rate < io.LOWEST_RATE:
        raise UserError(f"expected a sample rate in Hz, at least {io.LOWEST_RATE}; got {sample_rate}")
    music = np.asarray(audio)
    if music.ndim != 2 or not np.issubdtype(music.dtype, np.floating) or music.shape[0] > music.shape[1]:
        raise UserError(
            f"expected float samples of shape (channels, samples), full scale 1; got {music.dtype} of shape "
            f"{music.shape}; audio[None] makes mono of (samples,), audio.T turns (samples, channels)"
        )
    return music.astype(np.float32, copy=False)


def _stems(audio: Audio, sample_rate: int, separator: Separator, selection: Selection) -> Audio:
    """Returns the stems of a selection, (J, C, T), by way of a file, since a stream reads files."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = stream_model(separator, selection, 0, device)
    grid = chunking(separator, CHUNK_SECONDS, OVERLAP, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "music.wav")
        io.write(path, audio, sample_rate, format="wav", subtype="float")
        waits = device.type != "cpu"
        (stems,) = separate_files([str(path)], model, grid, selection, "wav", threaded=waits)
    if isinstance(stems, Failure):
        raise UserError(f"the audio cannot be separated: {stems.message}")
    blocks = [block for block, _ in stems.blocks()]
    stems.close()
    return np.concatenate(blocks, axis=-1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Within this block PyTorch computes in one thread: more threads may round otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
