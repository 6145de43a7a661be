"""Separators are scored on tracks with known stems, and make a page to listen to."""
