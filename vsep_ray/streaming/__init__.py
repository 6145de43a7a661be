"""Sound files become stems in constant memory at any length, several files one after the other."""

from vsep_ray.streaming.selection import FOUR, REST, SIX, Selection
from vsep_ray.streaming.stream import Chunking, Model, Stems, separate_files
from vsep_ray.streaming.writing import encode

__all__ = ["FOUR", "REST", "SIX", "Chunking", "Model", "Selection", "Stems", "encode", "separate_files"]
