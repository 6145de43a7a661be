"""One self-contained HTML page: scores between floor and ceiling, and players for the worst tracks."""

from vsep_ray.report.catalog import catalog_page
from vsep_ray.report.figures import score_figure
from vsep_ray.report.media import Clip
from vsep_ray.report.page import page

__all__ = ["Clip", "catalog_page", "page", "score_figure"]
