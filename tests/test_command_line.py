"""What was typed and cannot act is refused with the cure; what a preset sets and cannot act is dropped."""

import dataclasses

import pytest

from vsep_ray.command_line import parse
from vsep_ray.config import UserError, idle, settled
from vsep_ray.datasets.folders import StemsConfig
from vsep_ray.dreaming import DreamConfig
from vsep_ray.objectives import NoneConfig, RemixConfig
from vsep_ray.presets import (
    EVALUATE,
    PREPARE_CROPS,
    QUICKSTART,
    SEPARATE_CATALOG,
    TRAIN_PRIORS,
    TRAIN_SEPARATOR,
    TUNE,
    EvaluateConfig,
    PrepareCropsConfig,
    QuickstartConfig,
    SeparateCatalogConfig,
    TrainPriorsConfig,
    TrainSeparatorConfig,
    TuneConfig,
)

SEPARATOR = (TrainSeparatorConfig, TRAIN_SEPARATOR)
PRIORS = (TrainPriorsConfig, TRAIN_PRIORS)
SCORES = (EvaluateConfig, EVALUATE)
CROPS = (PrepareCropsConfig, PREPARE_CROPS)
SWEEP = (TuneConfig, TUNE)
CATALOG = (SeparateCatalogConfig, SEPARATE_CATALOG)
DEAD = [
    (SEPARATOR, "--preset smoke --beta 10", "--self-training wake --self-training.beta 10"),
    (SEPARATOR, "--self-training wake --self-training.beta 10", "--separator.noise-std 0.02"),
    (
        SEPARATOR,
        "--self-training remix --self-training.beta 10",
        "--self-training wake --self-training.beta 10",
    ),
    (
        SEPARATOR,
        "--self-training.refinement.steps 4",
        "--self-training remix --self-training.refinement.steps 4",
    ),
    (SEPARATOR, "--self-training remix --self-training.refinement.sigma 0.1", "refinement.steps 4"),
    (SEPARATOR, "--regime B --dreams.num 64", "--regime A"),
    (SEPARATOR, "--regime B --priors somewhere", "--self-training wake"),
    (SEPARATOR, "--regime C --self-training wake", "--regime B"),
    (SEPARATOR, "--regime C --augment.gain-db 6", "--regime B"),
    (SEPARATOR, "--self-training wake --self-training.sigma.end 0.3 --self-training.sigma.steps 9", "equal"),
    (SEPARATOR, "--sleep-fraction.end 0.5", "--self-training wake --self-training.sleep-fraction.end 0.5"),
    (SEPARATOR, "--noise-std.start 0.2", "--self-training wake --self-training.sigma.start 0.2"),
    (SEPARATOR, "--regime A --dreams.noise-std 0.03", "--dreams.sigma 0.03"),
    (SEPARATOR, "--separator.backbone.blocks 2 --separator.backbone waveunet", "spectrogramunet"),
    (PRIORS, "--augment.silence 0.1", "train_separator.py"),
    (PRIORS, "--prior wavenet --prior.squeeze 8", "--prior flow --prior.squeeze 8"),
    (SCORES, "--refine.steps 3", "--methods amortized refine"),
    (SCORES, "--methods refine --langevin.steps 3", "--methods amortized langevin"),
    (SCORES, "--priors somewhere", "--methods amortized refine"),
    (CROPS, "--toy.train-tracks 8", "--dataset.train-tracks 8"),
    (CROPS, "--root somewhere", "--dataset stems --dataset.root somewhere"),
    (CROPS, "--dataset musdb18 --map bass=b*", "--dataset stems --dataset.map bass=b*"),
    (CROPS, "--valid-fraction 0.2", "comes with its splits; leave it out"),
    (SCORES, "--map bass=b*", "--dataset stems --dataset.map bass=b*"),
    (SWEEP, "--separator.storage elsewhere", "the job around it sets it"),
    (SCORES, "--fresh", "every evaluation starts anew"),
    (SWEEP, "--separator.self-training remix --betas 1 10", "--separator.self-training wake"),
    (SWEEP, "--separator.separator.noise-std 0 --betas 1 10", "--separator.separator.noise-std 0.02"),
]


@pytest.mark.parametrize(("job", "flags", "cure"), DEAD, ids=[flags for _, flags, _ in DEAD])
def test_what_was_typed_and_cannot_act_is_refused_with_the_cure(job, flags, cure):
    config_type, presets = job
    with pytest.raises(UserError) as refused:
        parse(config_type, flags.split(), presets)
    assert cure in str(refused.value)


@pytest.mark.parametrize(
    "flags",
    [
        "--self-training wake --self-training.beta 10 --separator.noise-std 0.02",
        "--self-training remix --self-training.refinement.steps 4 --self-training.refinement.sigma 0.1",
        "--regime A --dreams.num 64 --priors somewhere --force",
        "--regime C --augment.level-lufs -20",
    ],
)
def test_what_can_act_is_taken(flags):
    config = parse(TrainSeparatorConfig, flags.split(), TRAIN_SEPARATOR)
    assert settled(config) == config


def test_short_forms_stand_for_the_data_set_s_own_flags():
    flags = ["--dataset", "stems", "--root", "songs", "--map", "bass=b*", "other=*"]
    config = parse(PrepareCropsConfig, flags, PREPARE_CROPS)
    assert config.dataset == StemsConfig("songs", ("bass=b*", "other=*"))
    assert parse(EvaluateConfig, ["--root=crops"], EVALUATE).dataset.root == "crops"


def test_the_quickstart_keeps_what_one_of_its_regimes_looks_at():
    preset = QUICKSTART["smoke"]
    found = parse(QuickstartConfig, ["--separator.dreams.num", "64"], QUICKSTART).regimes()
    assert [r.regime for r in found.values()] == ["A", "B"]
    assert found["A"].dreams == dataclasses.replace(preset.separator.dreams, num=64)
    with pytest.raises(UserError, match="leave out --separator"):
        parse(QuickstartConfig, ["--separator.regime", "C"], QUICKSTART)


def test_what_a_preset_sets_and_cannot_act_is_dropped():
    preset = TRAIN_SEPARATOR["small-a"]
    assert isinstance(preset.self_training, RemixConfig) and preset.dreams != DreamConfig()
    b = parse(TrainSeparatorConfig, ["--preset", "small-a", "--regime", "B"], TRAIN_SEPARATOR)
    assert b.dreams == DreamConfig() and b.self_training == preset.self_training
    c = parse(TrainSeparatorConfig, ["--preset", "small-a", "--regime", "C"], TRAIN_SEPARATOR)
    assert c.self_training == NoneConfig() and c.augment.gain_db == 0 and not c.force


@pytest.mark.parametrize(
    ("config_type", "presets"),
    [
        CROPS,
        SEPARATOR,
        PRIORS,
        SCORES,
        SWEEP,
        (QuickstartConfig, QUICKSTART),
        (SeparateCatalogConfig, SEPARATE_CATALOG),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_a_settled_config_has_nothing_left_that_cannot_act_but_defaults(config_type, presets):
    for name in presets:
        config = parse(config_type, ["--preset", name], presets)
        assert settled(config) == config, idle(config)
