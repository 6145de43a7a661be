"""separate_catalog.py has its config and presets here."""

from dataclasses import dataclass
from typing import Literal

from vsep_ray.chunking import CHUNK_SECONDS, OVERLAP
from vsep_ray.config import option
from vsep_ray.methods import AmortizedConfig, MethodConfig
from vsep_ray.nn.precision import Precision
from vsep_ray.presets.job import Device, JobConfig

AudioFormat = Literal["wav", "flac", "ogg", "opus", "mp3"]


@dataclass(frozen=True)
class SeparateCatalogConfig(JobConfig):
    """Separates every track of a catalog, resumably."""

    preset: str = option("songs", role="manner")
    """A preset has starting values; the flags beside it change single fields."""
    catalog: str = option(
        "", role="input", first=True, needed="say which songs, such as jobs/separate_catalog.py songs/"
    )
    """The catalog is a folder, glob, sound file, or CSV or Parquet manifest (column `path` or `uri`), local
    or s3://, gs://. Standing first it needs no flag."""
    model: str = option("", role="input")
    """This model separates: a checkpoint directory, runs:/..., models:/name@alias, or `bundled`, which comes
    with vsep_ray. Default: the latest separator in the storage that did not learn from toy waves, else
    bundled."""
    output: str = option("", role="place")
    """Stems and ledger go to this folder. Default: <storage>/catalogs/<name of the catalog>-<hash of its
    URI>"""
    sources: tuple[str, ...] = ()
    """These stems are written: `six` has the sources as the model knows them, `four` adds guitar and piano to
    other, and names say which. `rest` is the mixture minus the others, so `--sources vocals rest` makes two
    stems. Default: four, which are the sources of a model without guitar and piano."""
    format: AudioFormat = "wav"
    """The stems have this container."""
    subtype: Literal["auto", "16", "24", "float"] = "auto"
    """Samples of wav and flac have this format, bits or float; auto means 24 for flac, float for wav."""
    template: str = "{path}/{source}.{ext}"
    """Stems have this name relative to --output; {path} is the track's path in the catalog without its
    ending."""
    chunk_seconds: float = option(CHUNK_SECONDS, above=0.0)
    """One forward pass of the model has this many seconds of audio."""
    overlap: float = option(OVERLAP, least=0.0, most=0.5)
    """This fraction of a chunk is cross-faded with its neighbour, in [0, 0.5]."""
    method: MethodConfig = option(AmortizedConfig(), later=True)
    """Sources are estimated by one pass of the model (amortized), or by steps from there up the density of
    the priors (refine, langevin), which take many times as long."""
    priors: str = option("", role="input")
    """refine and langevin ask the priors in this folder, or of this run id of train_priors.py. Default: the
    latest in the storage."""
    shifts: int = option(1, later=True, least=1)
    """The mean is taken of what the model makes of this number of shifts of each chunk, which take as many
    times as long; from 2 to 4 are worth hearing."""
    channels: Literal["each", "middle"] = option("each", role="manner")
    """A model of mono separates left and right, each by itself, or the middle, in half the time: the shares
    are then the same on both sides. Other models separate all their channels at once."""
    batch_size: int = option(0, role="resource", least=0)
    """One forward pass has this number of chunks; the last batch is padded to it. 0 means as the stems that
    are in the output folder already, else 1 on CPUs, whose caches hold no more, and on GPUs what one is
    saturated by."""
    precision: Precision = option("auto", role="resource")
    """The model multiplies in float32 or bf16. auto means as the stems that are in the output folder already,
    else bf16 where every node has hardware for it."""
    samples: int = option(0, least=0)
    """Each chunk has this number of posterior draws. From them the ledger gets the SDR (dB) that the model
    expects of each stem, to sort a catalog by doubt. 0 draws none."""
    max_failed: float = option(0.05, role="manner", least=0.0, most=1.0)
    """The job still exits with 0 if this fraction of tracks failed, and not more."""
    max_alike: int = option(100, role="manner", least=0)
    """The job stops when this number of tracks in a row failed with the same error; at 0 any number may."""
    retry_failed: bool = option(False, role="manner")
    """Tracks that the ledger lists as failed are tried again."""
    overwrite: bool = option(False, role="manner")
    """Everything is separated again."""
    num_actors: int = option(0, role="resource", least=0)
    """There is this number of model replicas; 0 means one per GPU, or one per CPU where there is none. A
    cluster that grows on demand grows to the number."""
    device: Device = option("auto", role="resource")
    """The model runs here; auto means GPUs if the cluster has any now. Say gpu where they come on demand."""
    listening_tracks: int = option(5, role="manner", least=0)
    """The listening page has this number of tracks: the most doubtful, or some spread over the catalog. At 0
    there is no page."""

    def idle(self) -> dict[str, str]:
        """Returns what the method does not look at."""
        if not self.method.asks_priors:
            return {"priors": "--method amortized (the default) asks no priors; add --method refine"}
        return {"samples": "only --method amortized has draws; take it, or leave this out"}


SEPARATE_CATALOG = {
    "songs": SeparateCatalogConfig(),
    "smoke": SeparateCatalogConfig(preset="smoke", chunk_seconds=2.0, batch_size=2),
}
