"""Style and script of the pages, which are written into each."""

from importlib.resources import files

STYLE = (files("vsep_ray.report") / "page.css").read_text(encoding="utf-8")
SCRIPT = (files("vsep_ray.report") / "page.js").read_text(encoding="utf-8")
MARK = "document.documentElement.className = 'scripted'"
"""Runs before anything is drawn: the style shows plain players where it did not run."""
