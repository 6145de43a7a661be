"""Training on the cluster has tasks, the loop on the workers, and two training jobs."""
