"""What nodes have in common: the least of them decides."""

import pytest
import torch

from vsep_ray.cluster.runtime import nodes
from vsep_ray.nn.precision import resolve

pytestmark = pytest.mark.ray


def test_a_cluster_of_one_node_computes_in_what_its_hardware_multiplies(ray_session):
    assert nodes.common_precision("cpu") == resolve("auto", torch.device("cpu"))


@pytest.mark.parametrize(
    ("found", "common"),
    [(["bf16", "bf16"], "bf16"), (["bf16", "float32"], "float32"), ([], "float32")],
)
def test_the_least_of_all_nodes_decides(ray_session, monkeypatch, found, common):
    monkeypatch.setattr(nodes, "_everywhere", lambda *asked: (found, []))
    assert nodes.common_precision("auto") == common
