"""The device of these tests: $VSEP_TEST_DEVICE, else a GPU; without either they are skipped."""

import os

import pytest
import torch


@pytest.fixture(scope="session")
def device():
    named = os.environ.get("VSEP_TEST_DEVICE", "cuda")
    if named == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU; VSEP_TEST_DEVICE=cpu tries the tests without")
    return torch.device(named)
