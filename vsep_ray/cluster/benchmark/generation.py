"""The generation case of the benchmark: the WaveNet's cache against the definition of sampling."""

import time

import torch
from torch import Tensor

from vsep_ray.cluster.benchmark.cases import Row
from vsep_ray.nn.autoregressive import uniforms
from vsep_ray.presets import BenchmarkConfig
from vsep_ray.priors import WaveNetConfig
from vsep_ray.priors.wavenet import WaveNetPrior


def generation(config: BenchmarkConfig) -> Row:
    """Seconds to draw one waveform, in float64, in which both ways give the same samples. The weights are
    random, since they change no time."""
    torch.manual_seed(0)
    prior = WaveNetPrior(WaveNetConfig(), 8_000, 1).double().eval()
    with torch.no_grad():
        for p in prior.parameters():
            p.add_(0.02 * torch.randn_like(p))  # the zero-initialised end would predict nothing
    seconds, samples = [], []
    for draw in (prior.sample, lambda n, t: naive_generation(prior, n, t)):
        torch.manual_seed(1)
        began = time.perf_counter()
        samples.append(draw(1, config.generated))
        seconds.append(time.perf_counter() - began)
    error = (samples[0] - samples[1]).abs().max().item()
    level = samples[1].square().mean().sqrt().item()
    cached, naive = seconds
    return Row("generation", "s", cached, naive, error, {"level": level, "samples": config.generated})


@torch.no_grad()
def naive_generation(prior: WaveNetPrior, num: int, length: int, temperature: float = 1.0) -> Tensor:
    """`WaveNetPrior.sample` by its definition: the whole prefix once more for every sample."""
    config, density = prior.config, prior.density
    noise_std = torch.full((num,), config.noise_min).to(next(prior.parameters()))
    u = uniforms(num, prior.channels, length, noise_std)
    x = u.new_zeros(num, prior.channels, 0)
    for t in range(length):
        raw, lags = density.laws(torch.nn.functional.pad(x, (0, 1)), prior.embedding(noise_std), noise_std)
        heat = 1.0 if t < config.warm else temperature
        new = density.law.draw(raw[:, :, t], lags[:, :, t], u[:, :, t], noise_std[:, None], heat)
        x = torch.cat([x, new[..., None]], -1)
    return x
