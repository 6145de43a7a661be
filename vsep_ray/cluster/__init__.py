"""The only package that imports ray: data, training, sweeps, bulk separation, jobs."""
