"""The flow: one density, whichever way it is computed."""

import dataclasses
import math

import contracts
import pytest
import torch
from torch.distributions import Normal

from vsep_ray.command_line import parse
from vsep_ray.config import UserError, members
from vsep_ray.objectives import MaximumLikelihood
from vsep_ray.presets import TRAIN_PRIORS, TrainPriorsConfig
from vsep_ray.priors import FlowConfig, PriorConfig
from vsep_ray.priors.flow import FlowPrior
from vsep_ray.training import FitConfig, FitState, fit

LENGTH = 16
TINY = FlowConfig(squeeze=(8,), steps=3, width=16, layers=2, embedding=8)


def tiny(config, channels):
    """The same flow over at most 16 samples, with arbitrary parameters, in float64."""
    squeeze = tuple(f for i, f in enumerate(config.squeeze) if math.prod(config.squeeze[: i + 1]) <= LENGTH)
    small = dataclasses.replace(contracts.narrow(config), squeeze=squeeze or (8,))
    torch.manual_seed(0)
    return contracts.jiggle(FlowPrior(small, 8_000, channels), 0.2).double().eval()


def decode(prior, latents, monkeypatch):
    """What `sample` makes of given latents. Shape: (C T,) -> (C T,), differentiable."""
    queue = latents

    def take(*shape):
        nonlocal queue
        shape = shape[0] if isinstance(shape[0], torch.Size) else shape
        taken, queue = queue[: math.prod(shape)], queue[math.prod(shape) :]
        return taken.reshape(shape)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "randn", take)
        x = FlowPrior.sample.__wrapped__(prior, 1, latents.numel() // prior.channels)
    assert not queue.numel(), "sampling uses exactly one normal draw per sample of the waveform"
    return x.flatten()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", contracts.FLOWS)
def test_log_prob_is_the_density_of_the_samples_by_the_whole_jacobian(name, channels, monkeypatch, float64):
    prior = tiny(contracts.FLOWS[name], channels)
    z = torch.randn(channels * LENGTH)
    x = decode(prior, z, monkeypatch)
    jacobian = torch.autograd.functional.jacobian(lambda v: decode(prior, v, monkeypatch), z)
    expected = Normal(0.0, 1.0).log_prob(z).sum() - torch.linalg.slogdet(jacobian).logabsdet
    noise_std = torch.tensor([prior.config.noise_min])
    log_prob = prior.log_prob(x.reshape(1, channels, LENGTH), noise_std)
    torch.testing.assert_close(log_prob, expected.reshape(1))


@pytest.mark.parametrize("coupling", ["affine", "additive"])
@pytest.mark.parametrize("noise_std", [0.003, 1.0])
def test_the_density_integrates_to_one_on_a_grid(coupling, noise_std, float64):
    config = FlowConfig(squeeze=(2,), steps=2, coupling=coupling, width=6, layers=1, embedding=4)
    torch.manual_seed(0)
    prior = contracts.jiggle(FlowPrior(config, 8_000, 1).double(), 0.3).eval()
    axis = torch.linspace(-12, 12, 401) * math.hypot(noise_std, config.data_std)
    grid = torch.cartesian_prod(axis, axis)[:, None]
    with torch.no_grad():
        density = prior.log_prob(grid, torch.full((len(grid),), noise_std)).exp()
    assert density.sum().item() * (axis[1] - axis[0]).item() ** 2 == pytest.approx(1, abs=2e-3)


def test_depth_is_the_number_of_steps():
    count = [
        sum(p.numel() for p in FlowPrior(dataclasses.replace(TINY, steps=s), 8_000, 1).parameters())
        for s in (1, 2, 3)
    ]
    assert count[2] - count[1] == count[1] - count[0] > 0


def test_an_odd_number_of_channels_is_refused():
    with pytest.raises(UserError, match=r"first squeeze of \(3, 2\) even"):
        FlowConfig(squeeze=(3, 2)).build(8_000, 1)
    assert FlowConfig(squeeze=(3,), steps=1).build(8_000, 2).multiple == 3


def test_the_flow_is_a_member_of_the_union():
    assert FlowConfig in members(PriorConfig)


@pytest.fixture(scope="module")
def trained():
    """A flow after a brief training on sawtooth waves."""
    torch.manual_seed(0)
    prior, config = FlowPrior(TINY, 8_000, 1), FitConfig(steps=70, warmup=5, learning_rate=8e-3, ema=0.0)
    clips = contracts.toy_clips("sawtooth")
    fit(
        MaximumLikelihood(prior),
        [{"clips": clips[:24]}] * config.steps,
        config,
        state=FitState.create(prior, config),
    )
    return prior.eval()


@pytest.mark.parametrize("noise_std", [0.01, 0.077, 0.359, 1.0])
@pytest.mark.parametrize("split", ["train", "valid"])
def test_no_honest_density_beats_the_entropy_of_the_noise(trained, noise_std, split):
    """h(x + sigma e) >= h(sigma e) = 1.419 + ln sigma nats per sample: whoever claims less has a bug."""
    torch.manual_seed(1)
    clips = contracts.toy_clips("sawtooth", split).repeat(4, 1, 1)
    noisy = clips + noise_std * torch.randn(clips.shape)
    with torch.no_grad():
        nll = -trained.log_prob(noisy, torch.full((len(clips),), noise_std)) / clips[0].numel()
    ideal = 1.4189 + math.log(noise_std)
    assert nll.mean() + 4 * nll.std() / len(nll) ** 0.5 >= ideal
    assert nll.mean() < ideal + 2.5, "a trained flow is not far above it either"


def test_a_trained_flow_prefers_its_own_waves_to_silence_and_noise(trained):
    torch.manual_seed(1)
    own = contracts.toy_clips("sawtooth", "valid")
    level = torch.full((len(own),), 0.1)
    noise = torch.randn(own.shape) * own.std()
    log_prob = {
        k: trained.log_prob(x + 0.1 * torch.randn(x.shape), level).mean()
        for k, x in (("own", own), ("noise", noise))
    }
    assert log_prob["own"] > log_prob["noise"] + 100


@pytest.mark.parametrize("name", FlowConfig.named())
def test_a_flow_of_the_literature_is_trained_on_the_smoke_preset_by_its_name(name):
    flags = f"--preset smoke --prior {name} --prior.steps 1 --prior.width 8 --prior.layers 1"
    config = parse(TrainPriorsConfig, flags.split(), TRAIN_PRIORS)
    assert config.prior == dataclasses.replace(FlowConfig.named()[name], steps=1, width=8, layers=1)
    prior = config.prior.build(contracts.SAMPLE_RATE, 1)
    clips = contracts.toy_clips("sine", length=contracts.length_of(prior))[:16]
    short = dataclasses.replace(config.fit, steps=30, warmup=2, learning_rate=1e-2, log_every=30)
    before = contracts.loss_at_fixed_noise(prior, clips)
    fit(MaximumLikelihood(prior), [{"clips": clips}] * 30, short, state=FitState.create(prior, short))
    assert contracts.loss_at_fixed_noise(prior, clips) < before
