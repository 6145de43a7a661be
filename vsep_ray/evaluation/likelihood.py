"""The cross-likelihood matrix: what each prior says of every source's clips, and of noise, silence and a
constant.

A prior that separates must prefer its own source. A smoothed prior that is right looks weak per sample (the
ideal gap between two signals at distance d is d^2 / (2 sigma^2) nats over the whole clip), so discrimination
is judged per clip: the prior with the highest log density wins.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vsep_ray.config import UserError
from vsep_ray.nn.normal import LOG_2PI
from vsep_ray.priors.prior import Prior

PROBES = ("noise", "silence", "constant")
PROBE_CLIPS = 16
"""A probe has this number of clips at most: one looks at its mean alone, and its clips are all alike."""
NATS_PER_BIT = math.log(2)


@dataclass(frozen=True)
class Discrimination:
    """The cross-likelihood matrix and what it says of the priors.

    Attributes:
        sources: names of the priors, the matrix's columns.
        clips: names of the rows: the sources, then the probes `PROBES`.
        noise_stds: the noise levels sigma, the matrix's first axis.
        matrix: mean log p_sigma(x + sigma e) in nats per sample (a clip has C * T), shape (levels, rows,
            columns).
        errors: standard errors of its means, same shape.
        accuracy: per source and level, the share of its clips whose highest log density is its own prior's.
        auc: per source and level, area under the ROC curve of own against other clips, scored by the log
            density of its prior minus the highest of the others'; NaN with fewer than two sources.
    """

    sources: tuple[str, ...]
    clips: tuple[str, ...]
    noise_stds: tuple[float, ...]
    matrix: Tensor = field(repr=False)
    errors: Tensor = field(repr=False)
    accuracy: dict[str, tuple[float, ...]]
    auc: dict[str, tuple[float, ...]]

    def bits_per_sample(self) -> Tensor:
        """Returns the negative matrix in bits: the code length per sample, up to the constant of the
        amplitude's resolution.

        Shape: (levels, rows, columns).
        """
        return -self.matrix / NATS_PER_BIT

    def above_noise(self) -> dict[str, tuple[float, ...]]:
        """Returns, per source and level, by how much -log p of its own clips exceeds the noise's entropy, in
        nats per sample. That entropy, 1/2 ln(2 pi e sigma^2), is the ideal of a waveform of few parameters.
        """
        floor = torch.tensor(self.noise_stds, dtype=torch.float64).log() + 0.5 * (1 + LOG_2PI)
        return {s: tuple((-self.matrix[:, i, i] - floor).tolist()) for i, s in enumerate(self.sources)}

    def impossible(self) -> list[str]:
        """Returns the sources whose prior claims a higher density than can be true. Since h(x + sigma e) >=
        h(sigma e), a mean negative log density more than 4 standard errors below the noise's entropy is a
        bug.
        """
        return [
            s
            for i, s in enumerate(self.sources)
            if any(
                a + 4 * e < 0
                for a, e in zip(self.above_noise()[s], self.errors[:, i, i].tolist(), strict=True)
            )
        ]

    def best_level(self) -> int:
        """Returns the index of the noise level of the highest mean accuracy, of the smallest one on a tie."""
        means = [sum(a[i] for a in self.accuracy.values()) for i in range(len(self.noise_stds))]
        return means.index(max(means))

    def metrics(self) -> dict[str, float]:
        """Returns names and values for the tracker, such as ``cross/sigma_0.1/drums_clips/bass_prior``."""
        out: dict[str, float] = {}
        for i, sigma in enumerate(self.noise_stds):
            out |= {f"accuracy/sigma_{sigma:g}/{k}": v[i] for k, v in self.accuracy.items()}
            out |= {f"auc/sigma_{sigma:g}/{k}": v[i] for k, v in self.auc.items()}
            out |= {f"above_noise/sigma_{sigma:g}/{k}": v[i] for k, v in self.above_noise().items()}
            for row, name in enumerate(self.clips):
                for k, v in zip(self.sources, self.matrix[i, row].tolist(), strict=True):
                    out[f"cross/sigma_{sigma:g}/{name}_clips/{k}_prior"] = v
        return out


def cross_likelihood(
    priors: Mapping[str, Prior],
    clips: Mapping[str, Tensor],
    noise_stds: Sequence[float],
    *,
    seed: int = 0,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
) -> Discrimination:
    """Returns the matrix of every source's clips, and the probes, under every prior at every noise level. All
    priors see the same noise.

    There are at most `PROBE_CLIPS` of a probe, as long as the clips: white noise and a constant (of random
    sign), both of the clips' RMS, and silence.

    Shape: clips[source] (N, C, T), N and T may differ; T is cut to a multiple that suits every prior.

    Raises:
        UserError: a prior has no clips, or the clips are too short for the priors.
    """
    columns = {
        k: column(k, priors, clips, noise_stds, seed=seed, batch_size=batch_size, device=device)
        for k in priors
    }
    return discrimination(columns, noise_stds)


@dataclass(frozen=True)
class Column:
    """What one prior says, of which `discrimination` makes the matrix with the others'.

    Attributes:
        log_probs: per level and row, the log density of every clip, nats, (N,) in float64.
        samples: per row, C * T of a clip.
    """

    log_probs: tuple[dict[str, Tensor], ...]
    samples: dict[str, int]


@torch.no_grad()
def column(
    source: str,
    priors: Mapping[str, Prior],
    clips: Mapping[str, Tensor],
    noise_stds: Sequence[float],
    *,
    seed: int = 0,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
) -> Column:
    """Returns what the prior of one source says in `cross_likelihood`, whose arguments these are; processes
    may share the columns out.
    """
    rows = _rows(priors, clips, torch.Generator().manual_seed(seed))
    generator, levels = torch.Generator().manual_seed(seed), []
    for sigma in noise_stds:
        noise = {k: torch.randn(x.shape, generator=generator, dtype=x.dtype) for k, x in rows.items()}
        noisy = {k: x + sigma * noise[k] for k, x in rows.items()}
        levels.append({k: _log_prob(priors[source], x, sigma, batch_size, device) for k, x in noisy.items()})
    return Column(tuple(levels), {k: x[0].numel() for k, x in rows.items()})


def discrimination(columns: Mapping[str, Column], noise_stds: Sequence[float]) -> Discrimination:
    """Returns the matrix of all priors' columns, and what it says of them."""
    sources, samples = tuple(columns), next(iter(columns.values())).samples
    tables = [
        {k: torch.stack([c.log_probs[level][k] for c in columns.values()], -1) for k in samples}
        for level in range(len(noise_stds))
    ]
    cells = [[table[k] / count for k, count in samples.items()] for table in tables]
    matrix = torch.stack([torch.stack([cell.mean(0) for cell in row]) for row in cells])
    errors = torch.stack([torch.stack([cell.std(0) / len(cell) ** 0.5 for cell in row]) for row in cells])
    accuracy = {
        k: tuple((table[k].argmax(-1) == i).double().mean().item() for table in tables)
        for i, k in enumerate(sources)
    }
    auc = {k: tuple(_auc(table, k, sources) for table in tables) for k in sources}
    return Discrimination(sources, tuple(samples), tuple(noise_stds), matrix, errors, accuracy, auc)


def gate(result: Discrimination, minimum: float = 0.7) -> list[str]:
    """Returns the sources whose prior fails at `Discrimination.best_level`: its accuracy is below
    ``minimum``, in [0, 1], or another prior likes the source's clips better on average.
    """
    level = result.best_level()
    table = result.matrix[level, : len(result.sources)]
    preferred = table.argmax(-1) == torch.arange(len(result.sources))
    return [
        k for i, k in enumerate(result.sources) if result.accuracy[k][level] < minimum or not preferred[i]
    ]


def _rows(
    priors: Mapping[str, Prior], clips: Mapping[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor]:
    missing = [k for k in priors if k not in clips or not len(clips[k])]
    if missing:
        raise UserError(
            f"expected clips of every prior's source, got none of {', '.join(missing)}; prepare crops of them"
        )
    step = math.lcm(*(p.multiple for p in priors.values()))
    shortest = min(clips[k].shape[-1] for k in priors)
    if shortest < step:
        raise UserError(
            f"expected clips of at least {step} samples for these priors, got {shortest}; prepare longer ones"
        )
    rows = {k: clips[k][..., : clips[k].shape[-1] // step * step].detach().cpu() for k in priors}
    return rows | _probes(list(rows.values()), generator)


def _probes(clips: list[Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    like = max(clips, key=len)[:PROBE_CLIPS]
    energy = sum(float(x.square().sum()) for x in clips)
    rms = math.sqrt(energy / sum(x.numel() for x in clips))
    sign = torch.randint(2, (len(like), 1, 1), generator=generator, dtype=like.dtype) * 2 - 1
    noise = rms * torch.randn(like.shape, generator=generator, dtype=like.dtype)
    return dict(zip(PROBES, (noise, torch.zeros_like(like), (rms * sign).expand_as(like)), strict=True))


def _log_prob(prior: Prior, x: Tensor, sigma: float, batch_size: int, device: torch.device | str) -> Tensor:
    """Returns log densities in float64 on the CPU, nats. Shape: (N, C, T) -> (N,)."""
    batches = x.to(device).split(batch_size)
    return torch.cat([prior.log_prob(b, b.new_full((len(b),), sigma)).double().cpu() for b in batches])


def _auc(table: Mapping[str, Tensor], source: str, sources: tuple[str, ...]) -> float:
    """Returns the chance that an own clip outranks another source's, ties counted half (Mann and Whitney,
    1947).
    """
    if len(sources) < 2:
        return math.nan
    margins = {k: _margin(table[k], sources.index(source)) for k in sources}
    others = torch.cat([v for k, v in margins.items() if k != source])
    difference = margins[source][:, None] - others
    return float((difference > 0).double().mean() + 0.5 * (difference == 0).double().mean())


def _margin(log_probs: Tensor, own: int) -> Tensor:
    rest = torch.cat([log_probs[:, :own], log_probs[:, own + 1 :]], -1)
    return log_probs[:, own] - rest.max(-1).values
