"""Trains a separator under regime B for some minutes, on songs and clips that are made before: no Ray.

    python -m gpu.train --carried .gpu --out OUT --minutes 9

The carried folder is what carry.sh made. OUT gets a parcel (gpu/parcel.py) after every validation.
"""

import argparse
import copy
import dataclasses
import functools
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from gpu import parcel
from gpu.songs import MEMBERS, SOURCES, gather, held_out, minutes, training_songs

from vsep_ray.batches.remixing import draw_remix
from vsep_ray.batches.windows import Row, Window
from vsep_ray.config import UserError, from_dict
from vsep_ray.datasets.track import CropConfig
from vsep_ray.evaluation.sdr import si_sdr
from vsep_ray.inference import amortized
from vsep_ray.nn.precision import computing
from vsep_ray.presets import TrainSeparatorConfig
from vsep_ray.separators import Separator
from vsep_ray.training import FitState, fit, step_seed

BEGAN = time.monotonic()
RATE, CHANNELS = 44_100, 2
VALID_EVERY = 60.0
"""Seconds of training between two validations."""
VALID_BATCH = 8
ENDLESS = 10**9


class TimeIsUpError(Exception):
    """A training has had its seconds; its state is as after any step."""


class Draws(torch.utils.data.Dataset):
    """The batch of every step, the same in whichever process it is drawn."""

    def __init__(self, found, config):
        self.config = config
        weights = dict(zip(MEMBERS, config.crop_weights, strict=bool(config.crop_weights)))
        self.windows = [_window(found[source], config.length, weights) for source in SOURCES]

    def __len__(self):
        return ENDLESS

    def __getitem__(self, step):
        rng = np.random.default_rng(step_seed(self.config.fit.seed, step))
        num, augment = self.config.fit.batch_size, self.config.augment
        return {"remix": draw_remix(self.windows, rng, num, augment, RATE)}

    def batches(self, first, processes, device):
        """Yields the batches from a step on, drawn ahead by processes that share the crops' memory."""
        loader = torch.utils.data.DataLoader(
            self, batch_size=None, sampler=range(first, ENDLESS), num_workers=processes,
            multiprocessing_context="fork", pin_memory=device.type == "cuda",
        )  # fmt: skip
        for batch in loader:
            yield {k: v.to(device, non_blocking=True) for k, v in batch.items()}


def _window(rows, length, weights):
    block = {name: [getattr(row, name) for row in rows] for name in Row._fields}
    return Window(lambda: [block], len(rows), length, CHANNELS, weights)


@dataclasses.dataclass
class Trainer:
    """What a training needs beside its time.

    Attributes:
        config: as train_separator.py would have it.
        state: where it is.
        objective: what it minimises; compiled, if that was asked for.
        batches: one per step, from the state's on.
        valid: sources of held-out songs.
        out: the folder of the parcel.
        provenance: what the parcel tells of its training.
        speed: steps per second, lately.
        validating: seconds that the last validation took.
    """

    config: TrainSeparatorConfig
    state: FitState
    objective: torch.nn.Module
    batches: object
    valid: torch.Tensor
    out: Path
    provenance: dict
    speed: float = 0.0
    validating: float = 0.0

    def go(self, until, **changes):
        """Trains to the last step, or until a time of `time.monotonic`."""
        report = functools.partial(self._report, until)
        try:
            config = dataclasses.replace(self.config.fit, **changes)
            fit(self.objective, self.batches, config, state=self.state, report=report)
        except TimeIsUpError:
            pass
        self._validate()

    def run(self, end, decay):
        """Trains at a constant rate, and lets it fall to 1 % of that in the last share of the time."""
        warmup, begins = self.state.step + self.config.fit.warmup, end - decay * (end - time.monotonic())
        while (now := time.monotonic()) < begins:
            self.go(min(now + VALID_EVERY, begins), steps=ENDLESS, warmup=warmup)
        left = int(self.speed * (end - self.validating - time.monotonic()))
        if decay and left > 0:
            self.go(end - self.validating, steps=self.state.step + left, warmup=self.state.step)

    def _report(self, until, state, scalars):
        self.speed = scalars["steps_per_second"]
        names = ("loss", "snr_db", "steps_per_second", "data_wait", "skipped_updates")
        _say(f"step {state.step}: " + ", ".join(f"{n} {scalars[n]:.4g}" for n in names if n in scalars))
        if time.monotonic() > until:
            raise TimeIsUpError

    def _validate(self):
        before = time.monotonic()
        scores = improvement(self.state, self.valid, self.config.fit.precision)
        _say(f"step {self.state.step}: SI-SDR improvement {json.dumps(scores)}")
        parcel.write(self.out / "parcel", self.state, {**self.provenance, "validation": scores})
        self.validating = time.monotonic() - before


def improvement(state, sources, precision):
    """Returns the mean SI-SDR improvement (dB) of each source of held-out songs, and of all."""
    module = copy.deepcopy(state.module).eval()
    module.load_state_dict(state.averaged()[0])
    device, found = next(module.parameters()).device, []
    with computing(precision, device):
        for batch in sources.split(VALID_BATCH):
            mixture = batch.sum(1)
            estimates = amortized(mixture.to(device), separator=module).cpu()
            found.append(si_sdr(estimates, batch) - si_sdr(mixture[:, None].expand_as(batch), batch))
    means = torch.cat(found).nanmean(0)
    each = {name: round(m, 2) for name, m in zip(SOURCES, means.tolist(), strict=True) if m == m}
    return each | {"all": round(means.nanmean().item(), 2)}


def read_config(path):
    """Returns the config that `jobs/train_separator.py ... --dry-run` printed."""
    content, _ = json.JSONDecoder().raw_decode(path.read_text())  # the plan may follow
    config = from_dict(TrainSeparatorConfig, content["config"])
    if config.regime != "B" or config.self_training.reads_mixtures or not config.length:
        raise UserError(f"{path} must be of regime B without self-training, and say --length")
    return config


def built(config, device, start):
    """Returns objective and state: those of a parcel, where there is one, else new ones."""
    torch.manual_seed(config.fit.seed)
    form = {"sources": SOURCES, "sample_rate": RATE, "channels": CHANNELS, "scales": (1.0,) * len(SOURCES)}
    separator = Separator(dataclasses.replace(config.separator, **form))
    objective = config.self_training.build(separator, None, config.point).to(device)
    state = FitState.create(separator, config.fit)
    if (start / parcel.ABOUT).exists():
        parcel.read(start, config.fit, state)
    count = sum(p.numel() for p in separator.parameters()) / 1e6
    _say(f"{count:.2f} M parameters, from step {state.step} on")
    return objective, state


def materials(asked, config):
    """Returns draws from rendered songs and clips, held-out songs, and source -> minutes to draw from."""
    fonts = tuple(str(path) for path in sorted(asked.carried.glob("fonts/*.sf?")))
    crop = CropConfig(RATE, CHANNELS, 2 * config.length)  # a draw cuts it at random
    valid = held_out(asked.carried, fonts, crop, asked.processes, asked.songs)
    _say(f"{len(valid)} held-out stretches of {crop.length / RATE:.1f} s")
    until = BEGAN + 60 * asked.minutes * asked.rendering
    songs = training_songs(asked.carried, fonts, asked.songs)
    found = gather(songs, crop, asked.processes, until)
    _say(f"minutes by source: {minutes(found, crop)}")
    return Draws(found, config), valid, minutes(found, crop)


def drawers(wanted, config):
    """Returns how many processes may draw: each hands its batches over in shared memory, up to three at a
    time.
    """
    batch = 4 * config.fit.batch_size * len(SOURCES) * CHANNELS * config.length
    room = shutil.disk_usage("/dev/shm").free // (3 * batch)
    if not room:
        raise UserError("/dev/shm is too small for a batch; mount -o remount,size=50% /dev/shm enlarges it")
    return max(1, min(wanted, room))


def _say(words):
    print(f"[{time.monotonic() - BEGAN:5.0f} s] {words}", flush=True)


def _pace(draws):
    """Says what one core draws."""
    draws[0]
    before = time.process_time()
    draws[1]
    seconds = time.process_time() - before
    _say(f"one core draws {draws.config.fit.batch_size / seconds:.1f} items a second")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--carried", type=Path, default=Path(".gpu"))
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "out")))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=9.0, help="of all together")
    parser.add_argument("--rendering", type=float, default=0.3, help="most of the time for rendering")
    parser.add_argument("--decay", type=float, default=0.2, help="share of training at falling rates")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="that render, and then draw")
    parser.add_argument("--songs", type=int, help="most songs to render, of each kind; default: all")
    parser.add_argument("--compile", action="store_true")
    asked = parser.parse_args()
    config = read_config(asked.carried / "train.json")
    end = BEGAN + 60 * asked.minutes
    draws, valid, material = materials(asked, config)
    _pace(draws)
    device = torch.device(asked.device)
    objective, state = built(config, device, asked.carried / "start")
    processes = drawers(asked.processes - 1, config)
    _say(f"{processes} processes draw")
    batches = draws.batches(state.step, processes, device)
    learner = torch.compile(objective) if asked.compile else objective
    provenance = {"regime": config.regime, "objective": type(objective).__name__, "minutes": material}
    Trainer(config, state, learner, batches, valid, asked.out, provenance).run(end, asked.decay)


if __name__ == "__main__":
    main()
