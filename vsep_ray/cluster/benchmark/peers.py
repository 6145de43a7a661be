"""How fast our separators are beside open-unmix and Demucs, with one thread, and random weights but for ours
that is bundled: they change no time.

Nothing here needs Ray: ``python -m vsep_ray.cluster.benchmark.peers`` prints the table on a bare machine.
Every model separates the same length of noise in the way that its users get: ours in overlapping chunks of
`CHUNK_SECONDS`, as a catalog's worker does; Demucs by its ``apply_model`` without shifts; open-unmix by its
``Separator``, all of the clip at once. The peers are for 44.1 kHz stereo only, and music at 16 kHz must be
brought to that for them; so our model at 16 kHz is set beside the same peers.

Reference: Stöter et al., Open-Unmix, a reference implementation for music source separation, 2019; Défossez,
Hybrid spectrogram and waveform source separation, 2021; Rouard et al., Hybrid transformers for music source
separation, 2023.
"""

import argparse
import contextlib
import functools
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from types import ModuleType

import torch
from torch import Tensor, nn

from vsep_ray import checkpoint, pretrained
from vsep_ray.chunking import BATCH_SIZE, CHUNK_SECONDS, OVERLAP, overlap_add
from vsep_ray.cluster.benchmark.speed import FORMATS
from vsep_ray.nn.precision import Precision, resolve
from vsep_ray.presets import TRAIN_SEPARATOR
from vsep_ray.separators import Separator, SeparatorConfig, SpectrogramUNetConfig
from vsep_ray.streaming import Selection
from vsep_ray.streaming.model import chunking, stream_model

FRAME_NET = SpectrogramUNetConfig(n_fft=4_096, hop=2_048, width=128, levels=1, blocks=3)
"""The frame net for 44.1 kHz stereo at a size that a hundred songs can fill: 9.6 million parameters, most of
them between bins and channels; one frame per 46 ms."""
OURS = {
    "ours, `laptop`": (TRAIN_SEPARATOR["laptop"].separator, *FORMATS["laptop"][:2]),
    "ours, `music`": (TRAIN_SEPARATOR["music"].separator, *FORMATS["music"][:2]),
    "ours, frame net": (SeparatorConfig(backbone=FRAME_NET), *FORMATS["music"][:2]),
}
"""Config, sample rate (Hz) and channels of our models."""
SOURCES = ("drums", "bass", "other", "vocals")
HTDEMUCS, OPEN_UNMIX = "HTDemucs", "open-unmix, no filter"
"""The table has a ratio to these."""
INSTALL = "pip install --no-deps openunmix==1.3.0 demucs==4.1.0 einops julius"
"""It brings the peers without torchaudio, which open-unmix needs for files alone."""
HEAD = (
    "| model | rate (Hz) | channels | parameters (M) | precision | x real time "
    f"| / {HTDEMUCS} | / {OPEN_UNMIX} |\n|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Candidate:
    """A model, and its own way of separating a whole clip.

    Attributes:
        name: as in the table.
        module: all of its parameters are in here.
        separate: (C, T) -> (K, C, T), any T; both are in the CPU's memory, wherever the model is.
        sample_rate: Hz.
        channels: audio channels C.
        precision: what its networks multiply in.
    """

    name: str
    module: nn.Module
    separate: Callable[[Tensor], Tensor]
    sample_rate: int = 44_100
    channels: int = 2
    precision: Precision = "float32"

    def seconds(self, clip: Tensor) -> float:
        """Returns how long the separation of a clip takes. Shape: (C, T)."""
        began = time.perf_counter()
        with torch.inference_mode():
            self.separate(clip)
        return time.perf_counter() - began


def ours(name: str, device: torch.device, overlap: float) -> Candidate:
    """Returns one of our models, of random weights."""
    config, rate, channels = OURS[name]
    form = replace(config, sources=SOURCES, sample_rate=rate, channels=channels, scales=(1.0,) * len(SOURCES))
    return _chunk_by_chunk(name, Separator(form).eval(), device, overlap)


def _chunk_by_chunk(name: str, separator: Separator, device: torch.device, overlap: float) -> Candidate:
    """Returns a separator of ours. On a CPU its chunks go one by one: larger batches are no faster there."""
    precision = resolve("auto", device)
    selection = Selection.of(separator.sources)
    model = stream_model(separator, selection, 0, device, precision, channels="middle")  # of mono clips
    grid = chunking(separator, CHUNK_SECONDS, overlap, 1 if device.type == "cpu" else BATCH_SIZE)

    def separate(clip: Tensor) -> Tensor:
        return torch.cat(list(overlap_add(model.separate, [clip], **asdict(grid))), -1)

    return Candidate(name, separator, separate, separator.sample_rate, separator.channels, precision)


def open_unmix(name: str, device: torch.device, overlap: float, *, niter: int) -> Candidate:
    """Returns umxhq's four networks under their separator, which knows no overlap. The Wiener filter takes
    ``niter`` steps; at 0 the networks' magnitudes get the mixture's phase instead.
    """
    with _torchaudio():
        from openunmix import umxhq
    module = umxhq(targets=SOURCES, niter=niter, pretrained=False, device=device).eval()
    return Candidate(name, module, lambda clip: module(clip[None].to(device))[0].cpu())


def htdemucs(name: str, device: torch.device, overlap: float) -> Candidate:
    """Returns Hybrid Transformer Demucs as it was published, which is larger than its class's defaults."""
    from demucs.htdemucs import HTDemucs

    # 7.8 s: 10 s of training, less 12 % for changes of tempo and 1 s for shifts
    module = HTDemucs(SOURCES, bottom_channels=512, dconv_mode=3, segment=Fraction(39, 5))
    return _demucs(name, module, device, overlap)


def hdemucs(name: str, device: torch.device, overlap: float) -> Candidate:
    """Returns Hybrid Demucs (v3) as it was published as ``hdemucs_mmi``, with segments of 44 s."""
    from demucs.hdemucs import HDemucs

    return _demucs(name, HDemucs(SOURCES, segment=44), device, overlap)


def _demucs(name: str, module: nn.Module, device: torch.device, overlap: float) -> Candidate:
    from demucs.apply import apply_model

    def separate(clip: Tensor) -> Tensor:
        return apply_model(module, clip[None], shifts=0, overlap=overlap, device=device)[0]

    return Candidate(name, module.eval(), separate)


@contextlib.contextmanager
def _torchaudio() -> Iterator[None]:
    """Within this block ``import torchaudio`` finds an empty module, where it was not imported before."""
    absent = "torchaudio" not in sys.modules
    sys.modules.setdefault("torchaudio", ModuleType("torchaudio"))
    try:
        yield
    finally:
        if absent:
            del sys.modules["torchaudio"]


PEERS: dict[str, Callable[[str, torch.device, float], Candidate]] = {
    HTDEMUCS: htdemucs,
    "HDemucs (v3)": hdemucs,
    OPEN_UNMIX: functools.partial(open_unmix, niter=0),
    "open-unmix, Wiener filter": functools.partial(open_unmix, niter=1),
}


def candidates(device: torch.device, overlap: float = OVERLAP) -> tuple[list[Candidate], list[str]]:
    """Returns our models and the peers that are installed, and a sentence about each that is not."""
    found, absent = [ours(name, device, overlap) for name in OURS], []
    if checkpoint.is_complete(pretrained.FOLDER):
        separator = checkpoint.load_separator(pretrained.FOLDER)
        found.append(_chunk_by_chunk("ours, bundled", separator, device, overlap))
    for name, build in PEERS.items():
        try:
            found.append(build(name, device, overlap))
        except ModuleNotFoundError as error:
            absent.append(f"{name} is left out: there is no module {error.name!r} here; say {INSTALL}")
    return found, absent


def measure(models: Sequence[Candidate], seconds: float, repeats: int) -> list[str]:
    """Returns a row per model from clips of noise; the models take turns, so that the machine's mood is the
    same for all, and medians over the turns count. A first turn is not counted.
    """
    clips = {m: 0.1 * torch.randn(m.channels, round(seconds * m.sample_rate)) for m in models}
    turns = [{m.name: m.seconds(clip) for m, clip in clips.items()} for _ in range(1 + repeats)][1:]
    return [_row(model, seconds, turns) for model in models]


def _row(model: Candidate, seconds: float, turns: Sequence[dict[str, float]]) -> str:
    factor = statistics.median(seconds / turn[model.name] for turn in turns)
    ratios = " | ".join(_ratio(model.name, peer, turns) for peer in (HTDEMUCS, OPEN_UNMIX))
    size = sum(parameter.numel() for parameter in model.module.parameters()) / 1e6
    what = f"{model.name} | {model.sample_rate} | {model.channels} | {size:.1f} | {model.precision}"
    return f"| {what} | {factor:.2f} | {ratios} |"


def _ratio(model: str, peer: str, turns: Sequence[dict[str, float]]) -> str:
    if peer not in turns[0]:
        return "-"
    return f"{statistics.median(turn[peer] / turn[model] for turn in turns):.2f}"


def main() -> None:
    """Prints the table, and how to install the peers that are left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=17.5, help="length of the clip (s)")
    parser.add_argument("--repeats", type=int, default=3, help="turns that count")
    parser.add_argument("--overlap", type=float, default=OVERLAP, help="of our chunks and Demucs' segments")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    models, absent = candidates(torch.device(asked.device), asked.overlap)
    print("\n".join([HEAD, *measure(models, asked.seconds, asked.repeats), *absent]))


if __name__ == "__main__":
    main()
