"""Dreams are a crop store of samples of the priors, made once in parallel.

Sleep reads it in regime A as it reads real clips in regime B.
"""

import ray
import torch
from torch import Tensor

from vsep_ray import checkpoint, storage
from vsep_ray.cluster.inputs import prior_marks
from vsep_ray.cluster.runtime import capacity
from vsep_ray.cluster.runtime.progress import gathered
from vsep_ray.cluster.runtime.tracked_run import git_revision
from vsep_ray.config import UserError, fingerprint, what_counts
from vsep_ray.crops.store import STORE_FILE, CropStore
from vsep_ray.crops.writing import Unit, begin, finish, records, write_unit
from vsep_ray.datasets.track import Stem, Track
from vsep_ray.dreaming import DreamConfig, agreement, batches, check_level, chosen, draw
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

    Each clip is a song of its own, and levels are the priors' own. What is there already, from the same
    priors, is used as it is: a whole store, or the sources that an interrupted run has left.

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
    done = {record.key for record in records(uri)}
    tasks = [
        task
        for k, source in enumerate(store.sources)
        if source not in done
        for task in _tasks(
            layout, source, priors[source], judges, config, step_seed(seed, k), device, precision
        )
    ]
    gathered(tasks, "dreams of the priors", "batches")
    return finish(layout, records(uri), git_revision())


def _tasks(
    layout: CropStore,
    source: str,
    prior: str,
    judges: dict[str, str],
    config: DreamConfig,
    seed: int,
    device: Device,
    precision: Precision,
) -> list[ray.ObjectRef]:
    """Starts to draw the batches of one source, and to choose from them, and returns what is waited for."""
    drawing, choosing = (capacity.on_device(task, device) for task in (_draw, _choose))
    common = config, seed, device, precision
    count = len(batches(config, layout.length))
    drawn = [drawing.remote(prior, source, layout.length, i, *common) for i in range(count)]
    return [*drawn, choosing.remote(layout, source, judges, *common, *drawn)]


def _draw(
    prior: str,
    source: str,
    length: int,
    index: int,
    config: DreamConfig,
    seed: int,
    device: Device,
    precision: Precision,
) -> Tensor:
    """Draws one of the `batches` of a source's dreams, the same on whatever node."""
    torch.manual_seed(step_seed(seed, index))
    module = checkpoint.load_prior(prior).to(torch_device(device))
    if config.sigma:
        check_level("--dreams.sigma", config.sigma, source, module)
    num, temperature = batches(config, length)[index]
    with computing(precision, torch_device(device)):
        return draw(module, num, temperature, config.sigma, length)


def _choose(
    layout: CropStore,
    source: str,
    judges: dict[str, str],
    config: DreamConfig,
    seed: int,
    device: Device,
    precision: Precision,
    *drawn: Tensor,
) -> None:
    """Rejects dreams of one source, chooses from the others, and writes them as a unit of the store.

    Raises:
        UserError: too few are left.
    """
    torch.manual_seed(seed)
    clips = torch.cat(drawn)
    if config.agreement:
        priors = {s: checkpoint.load_prior(d).to(torch_device(device)) for s, d in judges.items()}
        with computing(precision, torch_device(device)):
            clips = clips[agreement(clips, source, priors, config.agreement)]
    if len(clips) < FEWEST * config.num:
        raise UserError(
            f"only {len(clips)} of {config.num} dreams of {source} are taken for it by the priors; "
            "train them longer, or set --dreams.agreement 0"
        )
    taken = chosen(clips, config, layout.sample_rate)
    audio = {f"dream-{source}-{i}": clip.numpy() for i, clip in enumerate(taken)}
    tracks = tuple(Track(name, stems=(Stem(source, (f"dream:{name}",)),), split="train") for name in audio)
    write_unit(layout, Unit(source, "train", tracks), lambda track: {source: iter([audio[track.id]])})
