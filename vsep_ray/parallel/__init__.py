"""Threads fetch ahead, items have random streams of their own, and workers share one training."""
