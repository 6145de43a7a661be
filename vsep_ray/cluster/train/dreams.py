"""Dreams are a crop store of samples of the priors, made once in parallel.

Sleep reads it in regime A as it reads real clips in regime B.
"""

import ray
import torch

from vsep_ray import checkpoint, storage
from vsep_ray.cluster.inputs import prior_marks
from vsep_ray.cluster.runtime import capacity
from vsep_ray.cluster.runtime.tracked_run import git_revision
from vsep_ray.config import UserError, fingerprint, what_counts
from vsep_ray.crops.store import STORE_FILE, CropStore
from vsep_ray.crops.writing import Record, Unit, begin, finish, write_unit
from vsep_ray.datasets.track import Stem, Track
from vsep_ray.dreaming import DreamConfig, agreement, check_level, chosen, draw
from vsep_ray.nn.precision import Precision, computing
from vsep_ray.presets.job import Device, torch_device
from vsep_ray.training import step_seed

FEWEST = 0.05
"""This share of the clips must be left after rejection."""


def dreams(
    store: CropStore,
    priors: dict[str, str],
    judges: dict[str, str],
    config: DreamConfig,
    length: int,
    folder: str,
    seed: int = 0,
    device: Device = "auto",
    precision: Precision = "auto",
) -> CropStore:
    """Draws clips from the priors in parallel, and returns them as a crop store.

    Each clip is a song of its own, and levels are the priors' own. A store that is there already, from the
    same priors, is used as it is.

    Args:
        store: the dreams take over its format, sources and scales.
        priors: source -> checkpoint directory.
        judges: source -> checkpoint directory of the priors that must agree, where the config asks for it.
        config: how many clips are drawn, and which are chosen.
        length: samples of a clip.
        folder: dream stores lie here, one per fingerprint.
        seed: the seed of the draws.
        device: where they are drawn.
        precision: what the priors multiply in.

    Raises:
        UserError: too few clips are left after rejection to say anything of the source.
    """
    mark = fingerprint({
        "priors": prior_marks(priors), "judges": prior_marks(judges) if config.agreement else {},
        "config": what_counts(config), "length": length, "seed": seed,
    })  # fmt: skip
    uri = storage.join(folder, f"dreams-{mark}")
    if storage.exists(storage.join(uri, STORE_FILE)):
        return CropStore.open(uri)
    layout = CropStore(
        uri, "dreams", store.sample_rate, store.channels, length, store.sources, store.scales,
        paired=False, fingerprint=mark,
    )  # fmt: skip
    begin(layout, fresh=False)
    task = capacity.on_device(_dream, device)
    tasks = [
        task.remote(layout, s, priors[s], judges, config, step_seed(seed, k), device, precision)
        for k, s in enumerate(store.sources)
    ]
    return finish(layout, ray.get(tasks), git_revision())


def _dream(
    layout: CropStore,
    source: str,
    prior: str,
    judges: dict[str, str],
    config: DreamConfig,
    seed: int,
    device: Device,
    precision: Precision = "auto",
) -> Record:
    """Draws the dreams of one source, rejects, chooses, and writes them as a unit of the store."""
    torch.manual_seed(seed)
    module = checkpoint.load_prior(prior).to(torch_device(device))
    if config.sigma:
        check_level("--dreams.sigma", config.sigma, source, module)
    with computing(precision, next(module.parameters()).device):
        clips = draw(module, config, layout.length)
        if config.agreement:
            priors = {s: checkpoint.load_prior(d) for s, d in judges.items()}
            clips = clips[agreement(clips, source, priors, config.agreement)]
            print(f"dreams of {source}: {len(clips)} of {config.num} agreed upon", flush=True)
    if len(clips) < FEWEST * config.num:
        raise UserError(
            f"only {len(clips)} of {config.num} dreams of {source} are taken for it by the priors; "
            "train them longer, or set --dreams.agreement 0"
        )
    taken = chosen(clips, config, layout.sample_rate)
    audio = {f"dream-{source}-{i}": clip.numpy() for i, clip in enumerate(taken)}
    tracks = tuple(Track(name, stems=(Stem(source, (f"dream:{name}",)),), split="train") for name in audio)
    return write_unit(layout, Unit(source, "train", tracks), lambda track: {source: iter([audio[track.id]])})
