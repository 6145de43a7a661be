"""Bulk separation: the plan, the workers and their pool, and what becomes of each track."""
