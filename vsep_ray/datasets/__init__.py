"""Data sets: where tracks are found, and how their audio is opened."""
