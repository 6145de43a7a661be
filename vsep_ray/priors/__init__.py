"""p(s_k): one density over the waveform of one source, one file and one name each."""

from vsep_ray.priors.flow import FlowConfig
from vsep_ray.priors.prior import Prior

# The union of all priors: a new one is one file and one name here.
PriorConfig = FlowConfig

__all__ = ["FlowConfig", "Prior", "PriorConfig"]
