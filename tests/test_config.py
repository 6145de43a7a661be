"""Configs there and back again: JSON, fingerprints, dotted paths, the command line."""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from typing import Literal

import pytest

from vsep_ray import presets
from vsep_ray.command_line import parse
from vsep_ray.config import (
    UserError,
    fingerprint,
    from_dict,
    members,
    option,
    replace_path,
    short_name,
    to_dict,
    what_counts,
)
from vsep_ray.objectives import NoneConfig, WakeConfig
from vsep_ray.presets import TRAIN_PRIORS, TRAIN_SEPARATOR, TrainPriorsConfig, TrainSeparatorConfig
from vsep_ray.priors import FlowConfig
from vsep_ray.separators import ConditionedNormalConfig, FactorisedNormalConfig


@dataclass(frozen=True)
class AppleConfig:
    """A fruit."""

    radius: float = 4.0


@dataclass(frozen=True)
class PearConfig:
    """Another."""

    radius: float = 3.0
    stalks: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class BasketConfig:
    """What holds them."""

    fruit: AppleConfig | PearConfig = field(default_factory=AppleConfig)
    spare: AppleConfig | PearConfig | None = None
    size: Literal["small", "large"] = "small"
    origin: Literal["tree"] | Literal["shop"] = "tree"
    label: str | None = None
    pair: tuple[int, float] = (1, 2.0)
    washed_twice: bool = False


@dataclass(frozen=True)
class ShopConfig:
    """A job's config."""

    preset: str = "plain"
    basket: BasketConfig = field(default_factory=BasketConfig)
    count: int = 1


SHOP = {"plain": ShopConfig(), "pears": ShopConfig("pears", BasketConfig(PearConfig(5.0)), count=2)}
ALL_PRESETS = {
    f"{table}-{name}": config
    for table, values in vars(presets).items()
    if isinstance(values, dict)
    for name, config in values.items()
    if dataclasses.is_dataclass(config)
}


def through_json(config):
    return from_dict(type(config), json.loads(json.dumps(to_dict(config))))


@pytest.mark.parametrize("name", ALL_PRESETS)
def test_every_preset_comes_back_from_json(name):
    assert through_json(ALL_PRESETS[name]) == ALL_PRESETS[name]


@pytest.mark.parametrize(
    "basket",
    [
        BasketConfig(),
        BasketConfig(PearConfig(2.5, (1, 2, 3)), AppleConfig(), "large", "shop", "x", (3, 0.5), True),
        BasketConfig(spare=PearConfig(stalks=())),
    ],
)
def test_unions_tuples_and_optionals_come_back_from_json(basket):
    again = through_json(basket)
    assert again == basket and isinstance(again.pair, tuple)


def test_whole_numbers_are_floats_where_floats_are_meant():
    assert from_dict(AppleConfig, {"radius": 3}) == AppleConfig(3.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fruit": {"type": "PlumConfig"}}, "one of AppleConfig, PearConfig"),
        ({"fruit": {"radius": 1.0}}, "one of AppleConfig, PearConfig"),
        ({"fruit": {"type": "AppleConfig", "stalks": [1]}}, "no field stalks"),
        ({"fruit": None}, "None"),
        ({"fruit": 3}, "3"),
        ({"size": "huge"}, "huge"),
        ({"label": 3}, "3"),
        ({"washed_twice": 1}, "1"),
        ({"pair": [1, True]}, "True"),
        ({"pair": [1]}, "expected 2 values"),
        ({"origin": "sky"}, "sky"),
        ({"origin": 3}, "3"),
        ({"colour": "red"}, "no field colour"),
    ],
)
def test_what_does_not_fit_is_the_users_mistake(change, message):
    with pytest.raises(UserError, match=message):
        from_dict(BasketConfig, to_dict(BasketConfig()) | change)


def test_fingerprints_change_with_any_value_and_with_nothing_else():
    config = TRAIN_SEPARATOR["smoke"]
    assert (
        fingerprint(config)
        == fingerprint(through_json(config))
        == fingerprint(json.loads(json.dumps(to_dict(config))))
    )
    changed = replace_path(config, "separator.posterior", FactorisedNormalConfig())
    assert fingerprint(changed) != fingerprint(config), "members with equal fields differ by their type"


def test_a_field_that_came_later_leaves_the_names_of_results_as_they_are():
    @dataclass(frozen=True)
    class Before:
        steps: int = 3

    @dataclass(frozen=True)
    class After(Before):
        precision: str = option("auto", later=True)

    assert what_counts(After()) | {"type": "Before"} == what_counts(Before())
    assert what_counts(After(precision="bf16"))["precision"] == "bf16"


def test_replace_path():
    config = replace_path(TRAIN_PRIORS["toy"], "prior.steps", 3)
    assert config.prior.steps == 3 and TRAIN_PRIORS["toy"].prior.steps != 3
    with pytest.raises(UserError, match=r"no field 'depth' in FlowConfig; it has .*steps, .*squeeze"):
        replace_path(config, "prior.depth", 3)
    with pytest.raises(UserError, match="no field"):
        replace_path(config, "prior.steps.more", 3)
    with pytest.raises(UserError, match=r"got 2\.5"):
        replace_path(config, "prior.steps", 2.5)
    assert fingerprint(replace_path(config, "fit.learning_rate", 1)) == fingerprint(
        replace_path(config, "fit.learning_rate", 1.0)
    )


def test_members_and_short_names():
    assert members(AppleConfig | PearConfig | None) == (AppleConfig, PearConfig)
    assert members(AppleConfig) == (AppleConfig,)
    assert short_name(FactorisedNormalConfig) == "factorisednormal"


def shop(*args):
    return parse(ShopConfig, args, SHOP)


def test_the_first_preset_is_the_default_and_flags_change_single_fields():
    assert shop() == SHOP["plain"]
    assert shop("--preset", "pears") == shop("--preset=pears") == SHOP["pears"]
    assert shop("--preset", "pears", "--count", "7") == dataclasses.replace(SHOP["pears"], count=7)
    assert shop("--basket.washed-twice").basket.washed_twice
    assert shop("--basket.pair", "4", "0.5").basket.pair == (4, 0.5)


@pytest.mark.parametrize("flags", [("--basket.fruit", "pear"), ("--basket.fruit=pear",)])
def test_a_member_of_a_union_is_chosen_at_any_depth(flags):
    assert shop(*flags).basket.fruit == PearConfig()
    chosen = shop(*flags, "--basket.fruit.stalks", "1", "2", "--basket.fruit.radius", "1").basket.fruit
    assert chosen == PearConfig(1.0, (1, 2))


def test_values_have_names_too(capsys):
    assert parse(TrainPriorsConfig, ["--prior", "glow"], TRAIN_PRIORS).prior == FlowConfig.named()["glow"]
    with pytest.raises(SystemExit):
        parse(TrainPriorsConfig, ["--help"], TRAIN_PRIORS)
    choices = re.search(r"--prior \{([\w,]+)", capsys.readouterr().out)[1].split(",")
    assert {"flow", "wavenet", "nice", "realnvp"} <= set(choices)


def test_choosing_the_member_of_the_preset_keeps_its_values():
    assert shop("--preset", "pears", "--basket.fruit", "pear") == SHOP["pears"]
    assert shop("--preset", "pears", "--basket.fruit", "apple").basket.fruit == AppleConfig()


def test_unknown_presets_members_and_flags():
    with pytest.raises(UserError, match="--preset plums is unknown; there are plain, pears"):
        shop("--preset", "plums")
    with pytest.raises(UserError, match=r"--basket\.fruit plum is unknown; there are apple, pear"):
        shop("--basket.fruit", "plum")
    with pytest.raises(UserError, match=r"say --basket\.fruit pear --basket\.fruit\.stalks 2"):
        shop("--basket.fruit.stalks", "2")
    for wrong in (("--colour", "red"), ("--count", "many")):
        with pytest.raises(UserError, match=wrong[0]):
            shop(*wrong)


def test_help_names_every_field_with_its_default(capsys):
    with pytest.raises(SystemExit) as stop:
        parse(TrainSeparatorConfig, ["--help"], TRAIN_SEPARATOR)
    text = capsys.readouterr().out
    assert stop.value.code == 0
    for flag in ("--regime", "--separator.posterior.log-std-min", "--dreams.sigma", "--fit.learning-rate"):
        assert flag in text
    assert "--preset {" + ",".join(TRAIN_SEPARATOR) + "}" in text
    assert "--separator.posterior {conditionednormal,factorisednormal" in text
    assert "--self-training {none,wake,remix" in text


def test_the_configs_of_the_jobs_take_members_and_dotted_paths():
    flags = """--preset smoke --separator.posterior factorisednormal --separator.posterior.log-std-min -3
        --separator.backbone.hop 32 --self-training wake --self-training.sigma.end 0.05
        --self-training.temperatures 1 0.2 --regime A"""
    config = parse(TrainSeparatorConfig, flags.split(), TRAIN_SEPARATOR)
    smoke = TRAIN_SEPARATOR["smoke"]
    assert config.separator.posterior == FactorisedNormalConfig(log_std_min=-3.0)
    assert config.separator.backbone == dataclasses.replace(smoke.separator.backbone, hop=32)
    assert config.self_training.sigma == dataclasses.replace(WakeConfig().sigma, end=0.05)
    assert (config.self_training.temperatures, config.regime) == ((1.0, 0.2), "A")
    assert isinstance(smoke.separator.posterior, ConditionedNormalConfig)
    flow = parse(TrainPriorsConfig, ["--prior", "flow", "--prior.squeeze", "8", "4"], TRAIN_PRIORS).prior
    assert flow == FlowConfig(squeeze=(8, 4))
    assert isinstance(smoke.self_training, NoneConfig)
