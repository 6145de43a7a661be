"""Two workers with half of every batch each, and three with two or three items of eight, train as one with
all of it does."""

import contextlib
import itertools

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from vsep_ray.joint import Joint
from vsep_ray.mixing import LinearMixing
from vsep_ray.objectives import Anchored, LogErrorConfig, MaximumLikelihood, Remix, Sleep, Wake
from vsep_ray.parallel import collectives
from vsep_ray.priors import FlowConfig
from vsep_ray.schedules import Schedule
from vsep_ray.separators import Separator, SeparatorConfig, SpectrogramUNetConfig
from vsep_ray.training import FitConfig, FitState, fit

BATCH, LENGTH = 8, 128
SOURCES = ("bass", "other")
FIT = FitConfig(steps=12, batch_size=BATCH, learning_rate=3e-3, warmup=2, log_every=1, ema=0.9)
FLOW = FlowConfig(squeeze=(8,), steps=2, width=8, layers=1, embedding=4)
HALF = Schedule(0.5, 0.5)


def separator():
    backbone = SpectrogramUNetConfig(n_fft=32, hop=16, width=4, blocks=1)
    return Separator(SeparatorConfig(SOURCES, 8000, 1, (1.0, 1.0), backbone=backbone))


def objective_of(kind):
    """A fresh objective and the module in it that is trained, the same at every call."""
    torch.manual_seed(0)
    if kind == "flow":
        prior = FLOW.build(8000, 1)
        return MaximumLikelihood(prior), prior
    model = separator()
    priors = [FLOW.build(8000, 1).eval().requires_grad_(False) for _ in SOURCES]
    joint = Joint(dict(zip(SOURCES, priors, strict=True)), LinearMixing(torch.ones(2), 0.05))
    other = {
        "sleep": lambda: None,
        "wake": lambda: Wake(model, joint, Schedule(0.3, 0.3), samples=2),
        "remix": lambda: Remix(model, joint=joint),
    }[kind]()
    sleep = Sleep(model, LogErrorConfig(0.1))
    return (Anchored(sleep, other, HALF) if other else sleep), model


def batches(part=slice(None)):
    """Loud and quiet items, so that the halves of a batch differ much."""
    for step in itertools.count():
        draw = torch.Generator().manual_seed(step)
        level = torch.linspace(0.01, 0.5, BATCH)[:, None, None]
        clips = level * torch.randn(BATCH, len(SOURCES), LENGTH, generator=draw)
        remix = clips[:, :, None]
        yield {"clips": clips[part, :1], "remix": remix[part], "mixture": remix.sum(1)[part]}


@contextlib.contextmanager
def float64():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@float64()
def train(kind, part=slice(0, BATCH), *, items=None, together=True):
    """Loss curve and weights; in float64, since Adam magnifies the rounding of gradients near 0."""
    torch.set_num_threads(1)
    objective, module = objective_of(kind)
    state = FitState.create(module, FIT, objective.memory)
    wrapped = DistributedDataParallel(objective) if collectives.count() > 1 and together else objective
    curve = []
    report = lambda _, metrics: curve.append(metrics["loss"])  # noqa: E731
    fit(wrapped, batches(items or part), FIT, state=state, part=part, report=report)
    return torch.tensor(curve), {n: p.detach() for n, p in module.named_parameters()}


def worker(rank, folder, world, kinds):
    dist.init_process_group("gloo", f"file://{folder}/meet", world_size=world, rank=rank)
    part = collectives.part(BATCH)
    found = {kind: train(kind, part) for kind in kinds}
    found["apart"] = train("sleep", part, together=False)
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


KINDS = ("flow", "sleep", "wake", "remix")


def spawned(folder, world, kinds):
    """What each of some workers found."""
    torch.multiprocessing.spawn(worker, (str(folder), world, kinds), nprocs=world)
    return [torch.load(folder / f"{rank}.pt") for rank in range(world)]


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    return spawned(tmp_path_factory.mktemp("two"), 2, KINDS)


@pytest.fixture(scope="module")
def thirds(tmp_path_factory):
    return spawned(tmp_path_factory.mktemp("three"), 3, ("flow", "remix"))


def check(found, kind):
    curve, weights = train(kind)
    before = dict(objective_of(kind)[1].named_parameters())
    assert max((weights[n] - before[n]).abs().max() for n in weights) > 0.01, "nothing was learned"
    for one in found:
        torch.testing.assert_close(one[kind][0], curve, atol=1e-9, rtol=1e-9)
        for name, value in weights.items():
            torch.testing.assert_close(one[kind][1][name], value, atol=1e-9, rtol=1e-9, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_two_halves_train_as_a_whole_does(halves, kind):
    check(halves, kind)


@pytest.mark.parametrize("kind", ["flow", "remix"])
def test_unequal_parts_train_as_a_whole_does(thirds, kind):
    """Workers that are left after a loss seldom divide a batch: what counts is the mean over its items."""
    check(thirds, kind)


def test_without_the_exchange_of_gradients_they_part(halves):
    """What the test above would see, were the gradients not averaged over the workers."""
    one, other = (half["apart"][1] for half in halves)
    apart = max((one[n] - other[n]).abs().max().item() for n in one)
    _, whole = train("sleep")
    off = max((one[n] - whole[n]).abs().max().item() for n in one)
    assert apart > 5e-3 and off > 5e-3


def test_another_place_in_the_batch_draws_something_else():
    """Items are keyed by their place: workers that all took the first would repeat its draws."""
    places = slice(0, 4), slice(4, 8)
    first, second = (train("flow", place, items=slice(4))[0] for place in places)
    assert not torch.isclose(first, second).any()
