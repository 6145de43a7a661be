"""fit: the loss falls, a resumed run is the undisturbed one bit for bit, a bad batch does no harm."""

import copy
import dataclasses

import contracts
import pytest
import torch
from torch import nn

from vsep_ray import checkpoint
from vsep_ray.objectives import MaximumLikelihood, Sleep
from vsep_ray.priors import FlowConfig
from vsep_ray.separators import Separator, SeparatorConfig, SpectrogramUNetConfig
from vsep_ray.training import FitConfig, FitState, fit, step_seed

STEPS = 16
CONFIG = FitConfig(steps=STEPS, batch_size=8, learning_rate=3e-3, warmup=4, log_every=8, ema=0.9)
FLOW = FlowConfig(squeeze=(8,), steps=2, width=8, layers=1, embedding=4)
CLIPS = contracts.toy_clips("sawtooth", length=64)


def start(config=CONFIG):
    """A fresh objective and state, the same at every call."""
    torch.manual_seed(0)
    prior = FLOW.build(contracts.SAMPLE_RATE, 1)
    return MaximumLikelihood(prior), FitState.create(prior, config)


def batches(first=0, poisoned=()):
    """Batches keyed by step; all NaN at the poisoned ones."""
    for step in range(first, STEPS):
        generator = torch.Generator().manual_seed(step)
        clips = CLIPS[torch.randint(len(CLIPS), (8,), generator=generator)]
        yield {"clips": clips * torch.nan if step in poisoned else clips}


def run(config=CONFIG, **poison):
    objective, state = start(config)
    reports = []
    fit(objective, batches(**poison), config, state=state, report=lambda s, m: reports.append((s.step, m)))
    return state, reports


def kill(state, metrics):
    raise KeyboardInterrupt


def everything(state):
    """All tensors of a state, by name."""
    moments = {
        f"{i}.{n}": torch.as_tensor(v)
        for i, s in state.optimizer.state_dict()["state"].items()
        for n, v in s.items()
    }
    averages = {"average": state.average, "slow": state.slow}
    named = {f"{kind}.{n}": v for kind, average in averages.items() for n, v in average.items()}
    return state.module.state_dict() | named | moments


def assert_same(one, other):
    left, right = everything(one), everything(other)
    assert left.keys() == right.keys()
    assert not [n for n in left if not torch.equal(left[n], right[n])]
    assert (one.step, one.skipped) == (other.step, other.skipped)


def loss_of(prior):
    """On all clips and always the same noise, since the levels that a batch draws move its loss most."""
    torch.manual_seed(0)
    with torch.no_grad():
        return prior.eval().loss(CLIPS)["loss"]


def test_the_loss_falls_and_is_reported():
    state, reports = run()
    assert [step for step, _ in reports] == [8, 16]
    assert loss_of(state.module) < loss_of(start()[1].module) - 0.05
    last = reports[-1][1]
    assert {
        "loss",
        "nats_above_noise",
        "grad_norm",
        "skipped_updates",
        "steps_per_second",
        "data_wait",
    } <= last.keys()
    assert 0 <= last["data_wait"] <= 1


def test_a_run_in_bf16_keeps_its_weights_in_float32_and_learns_the_same():
    configs = [dataclasses.replace(CONFIG, precision=precision) for precision in ("float32", "bf16")]
    (exact, _), (rounded, _) = map(run, configs)
    assert {p.dtype for p in rounded.module.parameters()} == {torch.float32}
    left, right = (torch.cat([p.flatten() for p in s.module.parameters()]) for s in (exact, rounded))
    assert not torch.equal(left, right)
    torch.testing.assert_close(loss_of(exact.module), loss_of(rounded.module), atol=0.02, rtol=0)


def test_the_same_seed_gives_the_same_run_and_another_another():
    assert_same(run()[0], run()[0])
    other = run(FitConfig(**{**vars(CONFIG), "seed": 1}))[0]
    assert not torch.equal(
        everything(other)["average.embedding.net.0.weight"],
        everything(run()[0])["average.embedding.net.0.weight"],
    )


@pytest.mark.parametrize(("ema", "slow_ema", "chosen"), [(0.9, 0.0, 0), (0.0, 0.0, 0), (0.5, 0.9, 1)])
def test_a_resumed_run_equals_the_undisturbed_one_bit_for_bit(ema, slow_ema, chosen, tmp_path):
    config = FitConfig(**{**vars(CONFIG), "ema": ema, "slow_ema": slow_ema})
    objective, state = start(config)
    with pytest.raises(KeyboardInterrupt):  # killed after 8 steps
        fit(objective, batches(poisoned=(3,)), config, state=state, report=kill)
    assert (state.step, state.skipped) == (8, 1)
    checkpoint.save(tmp_path, state.module, {}, state, chosen)

    objective, resumed = start(config)
    contracts.jiggle(resumed.module)
    checkpoint.load_training(tmp_path, resumed)
    assert_same(resumed, state)
    fit(objective, batches(first=8), config, state=resumed)
    assert_same(resumed, run(config, poisoned=(3,))[0])


@pytest.mark.parametrize("poisoned", [(0,), (5,), (9, 10)])
def test_a_batch_that_is_not_finite_is_skipped_and_counted(poisoned):
    state, reports = run(poisoned=poisoned)
    assert state.skipped == len(poisoned) and state.step == STEPS
    assert all(torch.isfinite(v).all() for v in everything(state).values())
    assert reports[-1][1]["skipped_updates"] == len(poisoned)
    assert all(torch.isfinite(torch.tensor(list(m.values()))).all() for _, m in reports), (
        "averages leave it out"
    )


def test_a_skipped_step_changes_nothing():
    objective, state = start()
    fit(objective, batches(), FitConfig(**{**vars(CONFIG), "steps": 4}), state=state)
    before = {n: v.clone() for n, v in everything(state).items()}
    poison = [{"clips": CLIPS[:8] * torch.inf}]
    fit(objective, poison, FitConfig(**{**vars(CONFIG), "steps": 5}), state=state)
    assert all(torch.equal(v, before[n]) for n, v in everything(state).items())
    assert (state.step, state.skipped) == (5, 1)


SOURCES = SeparatorConfig(("a", "b"), 8_000, 1, (1.0, 1.0), backbone=SpectrogramUNetConfig(16, 4, 4, 0, 1))


@pytest.mark.parametrize("posterior", contracts.POSTERIORS.values(), ids=contracts.POSTERIORS)
def test_a_separator_survives_a_batch_that_is_not_finite(posterior):
    """torch's own distributions raise on NaN unless told not to."""
    objective = Sleep(Separator(dataclasses.replace(SOURCES, posterior=posterior)))
    state = FitState.create(objective.separator, CONFIG)
    good = {"remix": torch.randn(2, 2, 1, 32)}
    steps = [good, {"remix": good["remix"] * torch.nan}] * (STEPS // 2)
    fit(objective, steps, CONFIG, state=state)
    assert state.skipped == STEPS // 2
    assert all(torch.isfinite(p).all() for p in objective.parameters())


@pytest.mark.parametrize("name", contracts.FLOWS)
def test_every_flow_survives_a_batch_that_is_not_finite(name):
    prior = contracts.build_prior(contracts.PRIORS[name])
    state = FitState.create(prior, CONFIG)
    clips = torch.full((2, 1, contracts.length_of(prior)), torch.nan)
    fit(MaximumLikelihood(prior), [{"clips": clips}] * STEPS, CONFIG, state=state)
    assert state.skipped == STEPS


class Quadratic(nn.Module):
    """Minimum at 3."""

    def __init__(self):
        super().__init__()
        self.x = nn.Parameter(torch.zeros(()))

    def forward(self, batch, step):
        return {"loss": (self.x - 3) ** 2}


def test_the_average_trails_the_weights_and_is_what_is_saved():
    module, config = Quadratic(), FitConfig(steps=1, warmup=0, learning_rate=1.0, ema=0.5)
    state = fit(module, [{}], config, state=FitState.create(module, config))
    assert module.x.item() == pytest.approx(1.0, abs=1e-3)
    assert state.averaged()[0]["x"].item() == pytest.approx(0.9, abs=1e-3)  # early on the decay is small
    config = FitConfig(steps=300, warmup=0, learning_rate=0.1, ema=0.9)
    state = fit(module, [{}] * 300, config, state=FitState.create(module, config))
    assert state.averaged()[0]["x"].item() == pytest.approx(3, abs=0.01)


def test_a_slow_average_trails_behind_the_other():
    module, config = Quadratic(), FitConfig(steps=40, warmup=0, learning_rate=0.1, ema=0.5, slow_ema=0.97)
    state = fit(module, [{}] * 40, config, state=FitState.create(module, config))
    fast, slow = (weights["x"].item() for weights in state.averaged())
    assert 0 < slow < fast < 3.5


def test_without_average_the_weights_are_saved():
    module, config = Quadratic(), FitConfig(steps=3, ema=0.0)
    state = fit(module, [{}] * 3, config, state=FitState.create(module, config))
    assert state.averaged()[0]["x"].item() == module.x.item() != 0


def test_gradients_are_clipped_to_the_largest_norm():
    module, seen = Quadratic(), []
    config = FitConfig(steps=1, clip=0.5, log_every=1)
    state = FitState.create(module, config)
    fit(module, [{}], config, state=state, report=lambda s, m: seen.append(m["grad_norm"]))
    assert seen == [6.0], "the norm before clipping is what is worth a curve"
    assert module.x.grad.abs().item() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("size", [1, 3])
def test_gradients_of_a_few_items_at_a_time_add_up_to_those_of_all(size):
    remix, found = torch.randn(8, 2, 1, 64, generator=torch.Generator().manual_seed(0)), []
    for config in (CONFIG, dataclasses.replace(CONFIG, micro_batch=size)):
        torch.manual_seed(0)
        objective = Sleep(Separator(SOURCES))
        state = FitState.create(objective.separator, config)
        config = dataclasses.replace(config, steps=1)
        fit(objective, [{"remix": remix}], config, state=state, report=lambda s, m: found.append(m))
    for name in ("loss", "grad_norm"):
        assert found[1][name] == pytest.approx(found[0][name], rel=1e-5)


def test_with_a_decay_the_rate_is_constant_until_the_last_steps():
    config = dataclasses.replace(CONFIG, steps=100, warmup=10, decay=20)
    rates = [config.factor(step) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 11) and set(rates[10:81]) == {1.0}
    assert rates[80:] == sorted(rates[80:], reverse=True) and rates[100] == 0
    longer = dataclasses.replace(config, steps=200)
    assert [longer.factor(step) for step in range(81)] == rates[:81]


def test_frozen_parameters_are_not_trained():
    module = Quadratic()
    module.frozen = nn.Parameter(torch.ones(()), requires_grad=False)
    state = FitState.create(module, FitConfig())
    assert [len(g["params"]) for g in state.optimizer.param_groups] == [1]


def test_batches_that_end_early_are_an_error():
    objective, state = start()
    with pytest.raises(ValueError, match="ended at step 2 of 16"):
        fit(objective, [{"clips": CLIPS}] * 2, CONFIG, state=state)


def test_a_finished_run_takes_no_further_step():
    objective, state = start()
    fit(objective, batches(), CONFIG, state=state)
    before = copy.deepcopy(state.module.state_dict())
    fit(objective, [], CONFIG, state=state)
    assert all(torch.equal(v, before[n]) for n, v in state.module.state_dict().items())


def test_seeds_of_steps_and_workers_differ():
    seeds = {step_seed(seed, step, rank) for seed in range(3) for step in range(50) for rank in range(4)}
    assert len(seeds) == 600
