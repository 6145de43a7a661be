"""Scores of separators on tracks with known stems, and the page to listen to."""
