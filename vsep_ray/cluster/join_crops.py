"""Several crop stores are joined to one, once; their part files are listened to in parallel."""

import logging
from collections.abc import Sequence

import ray

from vsep_ray import storage
from vsep_ray.cluster.data_page import write_page
from vsep_ray.cluster.runtime.progress import gathered
from vsep_ray.cluster.runtime.tracked_run import git_revision
from vsep_ray.crops import joining
from vsep_ray.crops.listening import hear, to_hear
from vsep_ray.crops.store import STORE_FILE, CropStore
from vsep_ray.presets import CropsJobConfig

log = logging.getLogger(__name__)


def join(stores: Sequence[CropStore], config: CropsJobConfig) -> CropStore:
    """Returns the joined store of some stores; what an earlier call has made is used as it is. It has a page
    to look at and listen to, as every store.

    Nothing is written before all members have been listened to, so that a kill leaves nothing half-made.

    Args:
        stores: the members.
        config: it has their weights, what to do with songs that are held out elsewhere, and the storage.

    Raises:
        UserError: the stores do not fit together, or a song is trained on that another one holds out.
    """
    drop = config.duplicates == "drop"
    folder = storage.join(config.storage, "crops")
    joined = joining.layout(stores, config.crop_weights, drop, folder, git_revision())
    if storage.exists(storage.join(joined.uri, STORE_FILE)):
        store = CropStore.open(joined.uri)
    else:
        store = _made(joined, stores, drop)
    log.info("what %s holds, to look at and listen to: %s", store.dataset, write_page(store))
    return store


def _made(joined: CropStore, stores: Sequence[CropStore], drop: bool) -> CropStore:
    for words in joining.strangers(stores):
        log.warning("%s", words)
    task = ray.remote(hear)
    tasks = [task.remote(*which) for which in to_hear(joined, stores)]
    heard = [h for each in gathered(tasks, "listening for equal music", "part files") for h in each]
    return joining.finish(joined, stores, heard, drop)
