"""What runs on a CPU runs on a GPU too, with the same result: kernels, training, separation, NCCL."""

import copy
import itertools
import os

import contracts
import numpy as np
import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from vsep_ray import checkpoint
from vsep_ray.audio import io
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings
from vsep_ray.cluster.separate.worker import Worker
from vsep_ray.nn.precision import computing
from vsep_ray.objectives import MaximumLikelihood, Sleep
from vsep_ray.presets import SeparateCatalogConfig
from vsep_ray.separators import Separator, SeparatorConfig
from vsep_ray.training import FitConfig, FitState, fit

pytestmark = pytest.mark.gpu
CONFIG = FitConfig(steps=12, batch_size=8, learning_rate=1e-3, warmup=4, log_every=4, precision="float32")
CLIPS = contracts.toy_clips("sawtooth")[:8]


def relative(found, exact):
    """The error's share of the power."""
    return ((found.double().cpu() - exact).square().sum() / exact.square().sum()).item()


@pytest.mark.parametrize(("precision", "bound"), [("float32", 1e-5), ("bf16", 1e-2)])
@pytest.mark.parametrize("name", contracts.BACKBONES)
def test_kernels_and_their_gradients_are_those_of_float64(name, precision, bound, device):
    torch.manual_seed(0)
    exact = contracts.jiggle(contracts.BACKBONES[name].build(2, 2), 0.02).double()
    found = copy.deepcopy(exact).float().to(device)
    mixture = torch.randn(2, 2, contracts.some_length(exact), dtype=torch.float64)
    wanted = exact(mixture)
    wanted.square().mean().backward()
    with computing(precision, device):
        output = found(mixture.float().to(device))
        output.square().mean().backward()
    assert relative(output.detach(), wanted.detach()) < bound
    pairs = zip(found.parameters(), exact.parameters(), strict=True)
    gradients = [
        torch.cat([g.double().cpu().flatten() for g in gs])
        for gs in zip(*((a.grad, b.grad) for a, b in pairs), strict=True)
    ]
    assert relative(*gradients) < bound


@pytest.mark.parametrize("name", contracts.PRIORS)
def test_log_densities_and_scores_are_those_of_the_cpu(name, device):
    prior = contracts.build_prior(contracts.PRIORS[name])
    x, level = (
        contracts.toy_clips("sawtooth", length=contracts.length_of(prior))[:4],
        contracts.levels(prior, 4),
    )
    wanted = prior.log_prob(x, level).detach(), prior.score(x, level)
    prior.to(device)
    found = (
        prior.log_prob(x.to(device), level.to(device)).detach(),
        prior.score(x.to(device), level.to(device)),
    )
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=2e-2, atol=2e-2 * b.abs().max().item())
    assert prior.sample(2, contracts.length_of(prior)).isfinite().all()


def trained(name, device, steps=CONFIG.steps, state=None):
    """The state after some steps of a prior, and the last loss."""
    if state is None:
        prior = contracts.build_prior(contracts.PRIORS[name]).to(device)
        state = FitState.create(prior, CONFIG)
    losses = []
    config = FitConfig(**{**vars(CONFIG), "steps": steps})
    batches = itertools.repeat({"clips": CLIPS.to(device)})
    fit(
        MaximumLikelihood(state.module),
        batches,
        config,
        state=state,
        report=lambda s, m: losses.append(m["loss"]),
    )
    return state, losses[-1]


@pytest.mark.parametrize("name", contracts.PRIORS)
def test_training_goes_as_on_a_cpu_and_goes_on_on_another_device(name, device, tmp_path):
    (there, found), (_, wanted) = trained(name, device), trained(name, torch.device("cpu"))
    assert found == pytest.approx(wanted, abs=0.05 * max(1, abs(wanted)))
    checkpoint.save(tmp_path, there.module, {}, there)
    here = FitState.create(contracts.build_prior(contracts.PRIORS[name]), CONFIG)
    checkpoint.load_training(tmp_path, here)
    assert here.step == CONFIG.steps
    assert np.isfinite(trained(name, torch.device("cpu"), 2 * CONFIG.steps, here)[1])


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_catalog_worker_writes_the_same_bytes_again(precision, device, tmp_path):
    config = SeparatorConfig(sources=("a", "b"), sample_rate=8_000, channels=1, scales=(1.0, 1.0))
    checkpoint.save(tmp_path / "model", contracts.jiggle(Separator(config), 0.02), {})
    audio = np.random.default_rng(0).uniform(-0.3, 0.3, (2, 100_000)).astype(np.float32)
    io.write(tmp_path / "song.wav", audio, 16_000)
    job = SeparateCatalogConfig(
        format="flac", chunk_seconds=1.0, batch_size=3, precision=precision,
        device="gpu" if device.type == "cuda" else "cpu",
    )  # fmt: skip
    found = []
    for again in ("first", "second"):
        settings = WorkerSettings(job, str(tmp_path / "model"), "the model", "print", str(tmp_path / again))
        assert Worker(settings).separate([Assignment("song", str(tmp_path / "song.wav"))]) is None
        found.append([(tmp_path / again / "song" / f"{s}.flac").read_bytes() for s in ("a", "b")])
    assert found[0] == found[1]
    stems = [io.read(tmp_path / "first" / "song" / f"{s}.flac")[0] for s in ("a", "b")]
    assert np.abs(sum(stems) - audio).max() < 2**-21


def test_one_rank_of_nccl_trains_as_none(device, tmp_path):
    config = SeparatorConfig(sources=("a", "b"), sample_rate=8_000, channels=1, scales=(1.0, 1.0))
    batch = {"remix": torch.stack([CLIPS, contracts.toy_clips("sine")[:8]], 1).to(device)}
    weights = []
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29533"}
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=0, world_size=1)
    try:
        for wrap in (lambda x: x, DistributedDataParallel):
            torch.manual_seed(0)
            separator = Separator(config).to(device)
            state = FitState.create(separator, CONFIG)
            fit(wrap(Sleep(separator)), itertools.repeat(batch), CONFIG, state=state, part=slice(0, 8))
            weights.append(torch.cat([p.detach().flatten() for p in separator.parameters()]))
    finally:
        torch.distributed.destroy_process_group()
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-5)
