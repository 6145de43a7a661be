"""Data sets say where tracks are found, and how their audio is opened."""
