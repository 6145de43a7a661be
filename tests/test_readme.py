"""What the README shows is true: its prior keeps the contract, its links and commands are there."""

import re
import types
from pathlib import Path

import contracts
import pytest
import torch

from vsep_ray.priors import PriorConfig

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def shown():
    """The module of the prior that the README shows."""
    (code,) = re.findall(r"```python\n(\"\"\"White noise.*?)```", README, re.DOTALL)
    module = types.ModuleType("vsep_ray.priors.white")
    exec(compile(code, "README.md", "exec"), module.__dict__)
    return module


@pytest.mark.parametrize("check", contracts.PRIOR_CHECKS, ids=lambda c: c.__name__)
def test_the_prior_that_is_shown_keeps_the_contract(shown, check):
    torch.manual_seed(0)
    check(shown.WhiteConfig().build(8000, 2))


def test_the_prior_that_is_shown_is_the_normal_law(shown, float64):
    prior = shown.WhiteConfig().build(8000, 1)
    x, sigma = torch.randn(3, 1, 50), torch.tensor([0.1, 0.5, 1.0])
    std = (prior.log_std.exp() ** 2 + sigma**2).sqrt()[:, None, None].expand_as(x)
    expected = torch.distributions.Normal(0.0, std).log_prob(x).sum((1, 2))
    torch.testing.assert_close(prior.log_prob(x, sigma), expected)
    assert shown.WhiteConfig not in PriorConfig.__args__


def test_scripts_and_files_that_are_named_exist():
    names = set(re.findall(r"(?:jobs|tests|vsep_ray)/[\w/]+\.(?:py|sh|yaml)", README)) - {
        "jobs/X.py",
        "vsep_ray/priors/white.py",
    }
    assert len(names) > 10
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []
