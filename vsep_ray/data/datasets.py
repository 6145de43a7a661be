"""All kinds of data sets behind two functions: `find` their tracks, `load` a track's audio."""

from collections.abc import Sequence
from typing import Literal

from vsep_ray.audio.dsp import Audio
from vsep_ray.config import UserError
from vsep_ray.data import toy
from vsep_ray.data.crops import CropConfig
from vsep_ray.data.toy import ToyConfig
from vsep_ray.data.track import Track

Dataset = Literal["toy", "musdb18", "musdb18hq", "stems", "sources"]


def find(
    dataset: Dataset,
    root: str,
    *,
    mapping: Sequence[str] = (),
    toy_config: ToyConfig | None = None,
) -> list[Track]:
    """The tracks of a data set, in an order that depends on nothing but its content.

    Raises:
        UserError: there is no such folder, or nothing in it that this kind of data set could hold.
    """
    match dataset:
        case "toy":
            return toy.tracks(toy_config or ToyConfig())
        case _:
            raise UserError(f"--dataset {dataset} is not read yet; use toy")


def load(dataset: Dataset, track: Track, *, crop: CropConfig, toy_config: ToyConfig) -> dict[str, Audio]:
    """A track's audio by source, each (C, T) at the rate and channels of ``crop``; sources may differ in T.

    Raises:
        BadFileError: a file of the track cannot be used.
    """
    match dataset:
        case "toy":
            return toy.render(track, toy_config, crop.sample_rate, crop.channels, crop.length)
        case _:
            raise UserError(f"--dataset {dataset} is not read yet; use toy")


def scales(dataset: Dataset, num: int) -> tuple[float, ...]:
    """The factors a_k of the mixing: 1 / K for toy waves (the mixture is their mean), 1 for stems."""
    return ((1 / num) if dataset == "toy" else 1.0,) * num
