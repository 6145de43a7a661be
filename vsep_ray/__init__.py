"""Music source separation from deep source priors, without paired training data, on Ray."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsep_ray.separation import load_separator, separate

__all__ = ["load_separator", "separate"]


def __getattr__(name: str) -> Any:
    """Imports what notebooks call when they ask for it: PyTorch takes seconds, and few modules need it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vsep_ray import separation

    return getattr(separation, name)
