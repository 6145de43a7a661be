"""What a cluster has room for, and what is asked of one that has none yet."""

import pytest

from vsep_ray.cluster.runtime import capacity
from vsep_ray.presets import ResourcesConfig

pytestmark = pytest.mark.ray


def test_what_is_there_is_used(ray_session):
    assert (capacity.cpus(), capacity.gpus("auto"), capacity.gpus("cpu")) == (4, 0, 0)
    assert (capacity.slots("cpu", wanted=9), capacity.slots("auto", 0.75), capacity.slots("cpu", 8)) == (
        4,
        5,
        1,
    )


@pytest.mark.parametrize(
    ("resources", "runs"),
    [(ResourcesConfig(), 4), (ResourcesConfig(num_workers=2), 2), (ResourcesConfig(cpus_per_worker=4.0), 1)],
)
def test_training_leaves_room_to_read(ray_session, resources, runs):
    assert capacity.side_by_side(resources, 9) == runs
    worker = capacity.of_worker(resources)
    trial = (resources.num_workers or 1) * worker["CPU"] + capacity.TRIAL_CPUS
    assert 4 - runs * trial >= capacity.READ_CPUS and "GPU" not in worker


def test_what_is_not_there_is_asked_for(ray_session):
    """A cluster that grows has no GPU at first."""
    assert (capacity.gpus("gpu"), capacity.slots("gpu", wanted=3)) == (1, 3)
