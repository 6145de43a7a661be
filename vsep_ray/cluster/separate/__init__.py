"""Bulk separation has a plan, workers and their pool, and a record of what becomes of each track."""
