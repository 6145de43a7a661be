"""What every prior, flow, bijection, backbone, posterior family, self-training and data set must satisfy.

The tests run these checks over the config unions: a new member is tested by adding its name to its union.
"""

import copy
import dataclasses
import inspect
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soundfonts
import torch

from vsep_ray import checkpoint
from vsep_ray.config import UserError, from_dict, members, short_name, to_dict
from vsep_ray.datasets.band import BandConfig
from vsep_ray.datasets.dataset import Dataset
from vsep_ray.datasets.registry import DatasetConfig
from vsep_ray.datasets.streams import BadFileError, whole
from vsep_ray.datasets.toy import ToyConfig, render
from vsep_ray.datasets.track import PUBLISHED, CropConfig
from vsep_ray.joint import Joint
from vsep_ray.methods import RefineConfig
from vsep_ray.mixing import LinearMixing
from vsep_ray.music.stems import StemsRecipe
from vsep_ray.nn.bijections import Bijection
from vsep_ray.nn.precision import computing
from vsep_ray.objectives import LogErrorConfig, MaximumLikelihood, RemixConfig, SelfTrainingConfig
from vsep_ray.priors import FlowConfig, PriorConfig
from vsep_ray.separators import (
    BackboneConfig,
    ConditionedNormalConfig,
    PosteriorConfig,
    Separator,
    SeparatorConfig,
    SpectrogramUNetConfig,
)
from vsep_ray.training import FitConfig, FitState, fit

SAMPLE_RATE = 8_000
TOY = ToyConfig(lowest_hz=220, highest_hz=880, train_tracks=48, valid_tracks=32, test_tracks=0)
FLOWS = FlowConfig.named()


def narrow(config):
    """The same flow with fewer steps and small networks."""
    return dataclasses.replace(config, steps=2, width=8, layers=1, embedding=4)


PRIORS = {short_name(c): c() for c in members(PriorConfig)} | {k: narrow(c) for k, c in FLOWS.items()}
BACKBONES = {short_name(c): c() for c in members(BackboneConfig)}
POSTERIORS = {short_name(c): c() for c in members(PosteriorConfig)}
REFINED = RemixConfig(refinement=RefineConfig(steps=2))
SELF_TRAINING = {short_name(c): c() for c in members(SelfTrainingConfig)} | {"remix_refined": REFINED}
DATASETS = {short_name(c): c for c in members(DatasetConfig)}
BIJECTIONS = {c.__name__: c for c in Bijection.__subclasses__()}
ARGUMENTS = {"channels": 4, "factor": 2, "width": 6, "layers": 2, "context": 3, "affine": True}


def toy_clips(shape, split="train", length=256, channels=1):
    """Clips of one wave form. Shape: -> (N, C, T)."""
    made = [render(t, TOY, SAMPLE_RATE, channels, length)[shape] for t in TOY.find() if t.split == split]
    return torch.from_numpy(np.stack(made)).to(torch.get_default_dtype())


def jiggle(module, size=0.1):
    """Move every parameter off its (often zero) start, so that nothing is the identity."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in module.parameters():
            p += size * torch.randn(p.shape, generator=generator).to(p)
    return module


def build_prior(config, channels=1, seed=0):
    """A prior whose data-dependent layers have started."""
    torch.manual_seed(seed)
    prior = config.build(SAMPLE_RATE, channels)
    prior.train().loss(toy_clips("sawtooth", length=length_of(prior), channels=channels)[:16])
    return jiggle(prior, 0.02).eval()


def length_of(prior):
    return math.ceil(128 / prior.multiple) * prior.multiple


def levels(prior, num, at=0.5):
    low, high = prior.noise_range
    return torch.full((num,), low ** (1 - at) * high**at)


# Priors -----------------------------------------------------------------------------------------------------


def log_prob_is_one_finite_number_per_item(prior):
    x = 0.3 * torch.randn(3, prior.channels, length_of(prior))
    for at in (0.0, 0.5, 1.0):
        value = prior.log_prob(x, levels(prior, 3, at))
        assert value.shape == (3,) and torch.isfinite(value).all()
    assert torch.isfinite(prior.log_prob(torch.zeros_like(x), levels(prior, 3, 0.0))).all(), "silence"


def every_sample_of_x_has_a_gradient_which_is_the_score(prior):
    x = (0.3 * torch.randn(2, prior.channels, length_of(prior))).requires_grad_()
    (gradient,) = torch.autograd.grad(prior.log_prob(x, levels(prior, 2)).sum(), x)
    assert (gradient != 0).all() and torch.isfinite(gradient).all()
    score = prior.score(x, levels(prior, 2))
    assert score.shape == x.shape and not score.requires_grad
    if prior.kind != "estimate":
        torch.testing.assert_close(score, gradient)


def items_of_a_batch_do_not_see_each_other(prior):
    x = 0.3 * torch.randn(3, prior.channels, length_of(prior))
    noise_std = torch.tensor([levels(prior, 1, at).item() for at in (0.2, 0.5, 0.8)])
    together = prior.log_prob(x, noise_std)
    alone = torch.cat([prior.log_prob(x[i : i + 1], noise_std[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-2)
    leak = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(prior.log_prob(leak, noise_std)[1], leak)
    assert (gradient[[0, 2]] == 0).all()


def the_noise_level_matters(prior):
    x = 0.3 * torch.randn(2, prior.channels, length_of(prior))
    assert (prior.log_prob(x, levels(prior, 2, 0.1)) != prior.log_prob(x, levels(prior, 2, 0.9))).all()


def log_densities_in_bf16_are_near_those_in_float32(prior):
    x = toy_clips("sawtooth", length=length_of(prior), channels=prior.channels)[:4]
    with torch.no_grad():
        exact = prior.log_prob(x, levels(prior, 4))
        with computing("bf16", x.device):
            rounded = prior.log_prob(x, levels(prior, 4))
    assert rounded.dtype == torch.float32
    per_sample = (rounded / x[0].numel(), exact / x[0].numel())
    torch.testing.assert_close(*per_sample, atol=2e-3, rtol=1e-3)


def samples_have_the_length_asked_for(prior):
    length = length_of(prior)
    x = prior.sample(3, length)
    assert x.shape == (3, prior.channels, length) and torch.isfinite(x).all() and not x.requires_grad
    assert not torch.equal(x[0], x[1])
    gain = torch.ones((), requires_grad=True)
    (gain * x).square().sum().backward()  # samples may enter a gradient
    if prior.multiple > 1:
        with pytest.raises(ValueError, match=str(prior.multiple)):
            prior.sample(1, length + 1)


def a_low_temperature_sharpens_the_samples(prior):
    length = 4 * length_of(prior)  # past the samples at which a WaveNet warms up
    spread = []
    for temperature in (1.0, 0.05):
        torch.manual_seed(0)
        x = prior.sample(24, length, temperature)[..., length // 2 :]
        assert torch.isfinite(x).all()
        spread.append(x.std(0).mean())
    assert spread[1] < 0.8 * spread[0]


def samples_carry_the_noise_of_their_level(prior):
    torch.manual_seed(0)
    quiet, noisy = (prior.sample(32, length_of(prior), noise_std=level).std(0).mean() for level in (0, 0.9))
    assert noisy > 0.6 and noisy > quiet
    with pytest.raises(ValueError, match="noise_std"):
        prior.sample(1, length_of(prior), noise_std=2 * prior.noise_range[1])


def wrong_shapes_and_noise_levels_are_refused(prior):
    x, (low, high) = torch.zeros(2, prior.channels, length_of(prior)), prior.noise_range
    wrong = [torch.zeros(2, prior.channels + 1, x.shape[-1]), x[0]]
    wrong += [x[..., :-1]] if prior.multiple > 1 else []
    for other in wrong:
        with pytest.raises(ValueError, match="must have shape"):
            prior.log_prob(other, levels(prior, len(other)))
    for noise_std in (low / 2, 2 * high, math.nan):
        with pytest.raises(ValueError, match="noise_std"):
            prior.log_prob(x, torch.full((2,), noise_std))
    with pytest.raises(ValueError, match="noise_std"):
        prior.log_prob(x, levels(prior, 1))


def a_checkpoint_brings_the_same_densities_back(prior, folder):
    checkpoint.save(folder, prior, {"source": "sawtooth"})
    again = checkpoint.load(folder)
    x = 0.3 * torch.randn(2, prior.channels, length_of(prior))
    assert torch.equal(again.log_prob(x, levels(prior, 2)), prior.log_prob(x, levels(prior, 2)))
    same = ("config", "sample_rate", "channels", "multiple", "noise_range", "kind")
    assert all(getattr(again, name) == getattr(prior, name) for name in same)
    assert not again.training


def a_few_dozen_steps_lower_the_loss(prior):
    prior, clips = copy.deepcopy(prior), toy_clips("sawtooth", length=length_of(prior))[:24]
    before = loss_at_fixed_noise(prior, clips)
    config = FitConfig(steps=24, warmup=2, learning_rate=1e-2, ema=0.0)
    fit(MaximumLikelihood(prior), [{"clips": clips}] * 24, config, state=FitState.create(prior, config))
    assert loss_at_fixed_noise(prior, clips) < before - 0.02


@torch.no_grad()
def loss_at_fixed_noise(prior, clips):
    torch.manual_seed(0)
    return prior.eval().loss(clips)["loss"].item()


PRIOR_CHECKS = [
    log_prob_is_one_finite_number_per_item,
    every_sample_of_x_has_a_gradient_which_is_the_score,
    items_of_a_batch_do_not_see_each_other,
    the_noise_level_matters,
    log_densities_in_bf16_are_near_those_in_float32,
    samples_have_the_length_asked_for,
    wrong_shapes_and_noise_levels_are_refused,
]

# Bijections -------------------------------------------------------------------------------------------------


def build_bijection(kind, **changes):
    """An instance with arbitrary parameters in float64; arguments by their names."""
    torch.manual_seed(0)
    parameters = inspect.signature(kind).parameters.values()
    arguments = {p.name: ARGUMENTS[p.name] for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
    return jiggle(kind(**arguments | changes).double(), 0.3)


def log_determinant_is_that_of_the_jacobian(bijection, x, context):
    y, ladj = bijection(x, context)
    assert y[0].numel() == x[0].numel() and ladj.shape == (len(x),)
    for i in range(len(x)):
        one = context[i : i + 1]
        jacobian = torch.autograd.functional.jacobian(
            lambda v, c=one: bijection(v[None], c)[0].flatten(), x[i]
        )
        expected = torch.linalg.slogdet(jacobian.reshape(x[i].numel(), -1)).logabsdet
        torch.testing.assert_close(ladj[i], expected)


def inverse_inverts(bijection, x, context):
    y, _ = bijection(x, context)
    torch.testing.assert_close(bijection.inverse(y, context), x)
    torch.testing.assert_close(bijection(bijection.inverse(x_like(y), context), context)[0], x_like(y))


def x_like(y):
    return torch.linspace(-1, 2, y.numel()).to(y).reshape(y.shape)


BIJECTION_CHECKS = [log_determinant_is_that_of_the_jacobian, inverse_inverts]

# Backbones --------------------------------------------------------------------------------------------------


def parameters_have_the_sacred_shape_at_every_multiple(config, channels):
    backbone = jiggle(config.build(3, channels)).eval()
    for factor in (1, 2, 5):
        mixture = torch.randn(2, channels, factor * backbone.multiple)
        out = backbone(mixture)
        assert out.shape == (2, 3, 2, *mixture.shape[1:]) and torch.isfinite(out).all()


def some_length(backbone):
    return max(32, 4 * backbone.multiple)


def silence_and_clicks_give_finite_values_and_gradients(config, channels):
    backbone = jiggle(config.build(2, channels))
    mixture = torch.zeros(2, channels, some_length(backbone))
    mixture[1, :, 7] = 100
    backbone(mixture).square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in backbone.parameters())


def every_parameter_learns(config, channels):
    backbone = jiggle(config.build(2, channels))
    backbone(torch.randn(2, channels, some_length(backbone))).square().sum().backward()
    still = [n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def mixtures_of_a_batch_do_not_see_each_other(config, channels):
    backbone = jiggle(config.build(2, channels)).eval().double()
    mixture = torch.randn(3, channels, 4 * backbone.multiple, dtype=torch.float64)
    alone = torch.cat([backbone(m[None]) for m in mixture])
    torch.testing.assert_close(backbone(mixture), alone)


def bf16_is_near_float32(config, channels):
    """30 dB: a product in bf16 is off by 2^-9 at most, and the errors of some twenty layers add up."""
    backbone = jiggle(config.build(2, channels)).eval()
    mixture = torch.randn(2, channels, some_length(backbone))
    exact = backbone(mixture)
    with computing("bf16", mixture.device):
        rounded = backbone(mixture)
    assert rounded.dtype == torch.float32
    assert (rounded - exact).square().sum() < 1e-3 * exact.square().sum()


BACKBONE_CHECKS = [
    parameters_have_the_sacred_shape_at_every_multiple,
    silence_and_clicks_give_finite_values_and_gradients,
    every_parameter_learns,
    mixtures_of_a_batch_do_not_see_each_other,
    bf16_is_near_float32,
]

# Posterior families -----------------------------------------------------------------------------------------


def posterior_of(config, noise_std=0.0, gain=1.0):
    """A posterior over 3 sources of 2 channels and 5 samples from random parameters."""
    generator = torch.Generator().manual_seed(0)
    parameters = torch.randn(4, 3, 2, 2, 5, generator=generator)
    mixture = gain * torch.randn(4, 2, 5, generator=generator)
    level = mixture.square().mean((1, 2), keepdim=True).sqrt()
    return config.posterior(parameters, mixture, level, LinearMixing((0.5, 1.0, 0.25), noise_std))


def shapes_are_those_of_a_law_over_sources(config):
    q = posterior_of(config)
    assert q.batch_shape == (4,) and q.event_shape == (3, 2, 5)
    assert q.mean.shape == q.variance.shape == (4, 3, 2, 5)
    draws = q.rsample((7,))
    assert draws.shape == (7, 4, 3, 2, 5) and q.rsample().shape == (4, 3, 2, 5)
    assert q.log_prob(draws).shape == (7, 4) and q.entropy().shape == (4,)


def moments_and_entropy_are_those_of_the_draws(config):
    torch.manual_seed(0)
    for noise_std in (0.0, 0.3):
        q = posterior_of(config, noise_std)
        draws = q.rsample((4_000,))
        z = (draws.mean(0) - q.mean) / (q.variance / 4_000).sqrt()
        assert z.abs().max() < 5
        assert (draws.var(0) / q.variance - 1).abs().max() < 0.15
        surprise = -q.log_prob(draws)
        assert ((surprise.mean(0) - q.entropy()) / (surprise.std(0) / 4_000**0.5)).abs().max() < 5


def scaling_the_mixture_scales_the_law(config):
    q, louder = posterior_of(config), posterior_of(config, gain=10.0)
    torch.testing.assert_close(louder.mean, 10 * q.mean)
    torch.testing.assert_close(louder.variance, 100 * q.variance)


POSTERIOR_CHECKS = [
    shapes_are_those_of_a_law_over_sources,
    moments_and_entropy_are_those_of_the_draws,
    scaling_the_mixture_scales_the_law,
]

# Self-training ----------------------------------------------------------------------------------------------

LENGTH = 64
SOURCES = ("bass", "drums")
BACKBONE = SpectrogramUNetConfig(n_fft=32, hop=8, width=8, blocks=1)
FLOW = FlowConfig(squeeze=(8,), steps=2, width=8, layers=1, embedding=4)


def separator(noise_std=0.0, posterior=ConditionedNormalConfig()):  # noqa: B008
    torch.manual_seed(0)
    config = SeparatorConfig(SOURCES, SAMPLE_RATE, 1, (0.5, 1.0), noise_std, BACKBONE, posterior)
    return jiggle(Separator(config), 0.05)


def flows():
    torch.manual_seed(0)
    return {s: jiggle(FLOW.build(SAMPLE_RATE, 1), 0.2) for s in SOURCES}


def batch():
    generator = torch.Generator().manual_seed(7)
    shapes = {"clips": (1,), "remix": (2, 1), "sources": (2, 1), "mixture": (1,)}
    return {k: 0.3 * torch.randn(4, *shape, LENGTH, generator=generator) for k, shape in shapes.items()}


def gradients(objective, data=None, step=0):
    """Gradients of the loss by the name of the parameter."""
    torch.manual_seed(3)
    objective.zero_grad()
    objective.train()(data or batch(), step)["loss"].backward()
    return {n: p.grad.clone() for n, p in objective.named_parameters() if p.grad is not None}


def build_objective(config):
    """The objective of a training, its separator, and the priors if it asks them."""
    q = separator()
    joint = Joint(flows(), q.mixing) if config.asks_priors else None
    return config.build(q, joint, LogErrorConfig(0.5)), q, joint


def a_config_comes_back_from_json(config):
    assert from_dict(type(config), json.loads(json.dumps(to_dict(config)))) == config


def the_loss_is_a_finite_scalar_beside_others_without_a_graph(config):
    objective, _, _ = build_objective(config)
    metrics = objective.train()(batch(), 0)
    assert all(v.numel() == 1 and torch.isfinite(v) for v in metrics.values())
    assert metrics["loss"].shape == () and metrics["loss"].requires_grad
    assert not any(v.requires_grad for k, v in metrics.items() if not k.endswith("loss"))


def the_separator_learns_and_nothing_else(config):
    objective, q, joint = build_objective(config)
    assert all(torch.isfinite(g).all() and g.any() for g in gradients(objective).values())
    taught = {id(p) for p in objective.parameters() if p.grad is not None}
    assert taught == {id(p) for p in q.parameters()}
    frozen = [] if joint is None else list(joint.modules())
    assert not any(m.training or any(p.requires_grad for p in m.parameters()) for m in frozen)


def only_what_it_needs_matters(config):
    """Regimes A and B never see paired sources; NaN under all other keys leaves the gradients as they are."""
    objective, _, _ = build_objective(config)
    assert set(objective.needs) <= {"remix", "mixture"}
    assert ("mixture" in objective.needs) == config.reads_mixtures
    poisoned = {k: v if k in objective.needs else v * torch.nan for k, v in batch().items()}
    honest = gradients(objective)
    for data in (poisoned, {k: batch()[k] for k in objective.needs}):
        again = gradients(build_objective(config)[0], data)
        assert again.keys() == honest.keys() and all(torch.equal(again[n], honest[n]) for n in honest)


def mixtures_matter_where_they_are_read(config):
    other = batch() | {"mixture": batch()["mixture"].flip(0, 2)}
    mine, theirs = (gradients(build_objective(config)[0], data) for data in (batch(), other))
    assert config.reads_mixtures == any(not torch.equal(mine[n], theirs[n]) for n in mine)


SELF_TRAINING_CHECKS = [
    a_config_comes_back_from_json,
    the_loss_is_a_finite_scalar_beside_others_without_a_graph,
    the_separator_learns_and_nothing_else,
    only_what_it_needs_matters,
    mixtures_matter_where_they_are_read,
]

# Data sets --------------------------------------------------------------------------------------------------

TEXTS = {
    "metadata.yaml": "stems: {S00: {inst_class: Drums}}",
    "data.json": json.dumps(
        {"stems": [{"stemName": "drums", "tracks": [{"id": "id", "trackType": "toms", "extension": "wav"}]}]}
    ),
    "Artist_Title_METADATA.yaml": "has_bleed: 'no'\n"
    "stems: {S01: {instrument: piano, component: '', filename: Artist_Title_STEM_01.wav}}\n",
    "songs.csv": "path,source,track\nsong/drums.wav,drums,song\nsong/bass.wav,bass,song\n",
}
"""What stands in files of an example that are no sound, by their names."""
SMALLER = {BandConfig: {"train_songs": 2, "valid_songs": 1, "test_songs": 1, "song_seconds": 6.0}}
"""What is made on the fly, and takes long by default."""


def make(kind, folder):
    """A data set of this kind: the files of its example, or what needs none."""
    changes = dict(SMALLER.get(kind, {}))
    if issubclass(kind, StemsRecipe):
        soundfonts.synthesiser_or_skip()
        folder.mkdir(parents=True, exist_ok=True)
        changes["fonts"] = (soundfonts.write_font(folder / "font.sf2"),)
    if not kind.needs_files:
        return kind(**changes)
    for path in (folder / "root" / name for name in kind.example):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_example(path)
    table = next((name for name in kind.example if name.endswith(".csv")), "")
    return kind(root=str(folder / "root" / table), **changes)


def write_example(path):
    sound = np.random.default_rng(0).uniform(-0.1, 0.1, (5, 4_410, 2))
    if path.suffix in (".mid", ".midi"):
        soundfonts.write_song(path)
    elif path.name in TEXTS:
        path.write_text(TEXTS[path.name])
    elif path.name.endswith(".stem.mp4"):
        import stempeg  # refuses to be imported without ffmpeg

        stempeg.write_stems(str(path), sound, sample_rate=44_100, writer=stempeg.StreamsWriter())
    else:
        soundfile.write(path, sound[0], 44_100)


def tracks_are_the_same_at_every_look(dataset):
    found = dataset.find()
    assert found and found == dataset.find()
    assert all(track.stems and track.split in ("", "train", "valid", "test") for track in found)
    assert len({(t.id, t.split) for t in found}) == len({t.id for t in found}), "a song in two splits"
    assert all(track.split for track in found) or not dataset.has_splits


def every_source_opens_in_the_format_asked_for(dataset):
    track, crop = dataset.find()[0], CropConfig(sample_rate=8_000, channels=2, length=300)
    opened = {source: list(pieces) for source, pieces in dataset.open(track, crop).items()}
    assert opened.keys() == {s.source for s in track.stems} | ({PUBLISHED} if track.uri else set())
    for pieces in opened.values():
        assert all(p.shape == (2, 300) for p in pieces[:-1]) and pieces[-1].shape[0] == 2
        assert 0 < pieces[-1].shape[1] <= 300 and np.abs(np.concatenate(pieces, 1)).max() > 0.01


def sources_have_factors_and_belong_together_or_not(dataset):
    assert isinstance(dataset, Dataset) and isinstance(dataset.paired(dataset.find()), bool)
    assert len(dataset.scales(3)) == 3 and all(a > 0 for a in dataset.scales(3))


def an_inventory_is_json_with_the_bytes_of_every_track(dataset):
    found = dataset.find()
    content, sizes = dataset.inventory(found)
    assert json.dumps(content) == json.dumps(dataset.inventory(found).content)
    assert len(sizes) == len(found) and all(size > 0 or not dataset.needs_files for size in sizes)


def a_changed_file_changes_the_inventory(dataset):
    found = dataset.find()
    before = dataset.inventory(found).content
    with open(found[0].files[0], "ab") as file:
        file.write(b"more")
    assert dataset.inventory(found).content != before


def a_file_that_is_gone_is_a_bad_file(dataset):
    track = dataset.find()[0]
    Path(track.files[0]).unlink()
    with pytest.raises(BadFileError) as caught:
        whole(dataset.open(track, CropConfig()))
    assert caught.value.uri == track.files[0]


def a_root_without_tracks_is_refused(dataset):
    empty = Path(dataset.root).parent / "empty"
    empty.mkdir()
    for root, words in (("", "--root"), (str(empty), str(empty)), (f"{empty}/gone", f"{empty}/gone")):
        with pytest.raises(UserError, match=re.escape(words)):
            dataclasses.replace(dataset, root=root).find()


DATASET_CHECKS = [
    a_config_comes_back_from_json,
    tracks_are_the_same_at_every_look,
    every_source_opens_in_the_format_asked_for,
    sources_have_factors_and_belong_together_or_not,
    an_inventory_is_json_with_the_bytes_of_every_track,
]
FILES_CHECKS = [
    a_changed_file_changes_the_inventory,
    a_file_that_is_gone_is_a_bad_file,
    a_root_without_tracks_is_refused,
]
