"""Training on the cluster: what a run trains, the loop on its workers, the two training jobs."""
