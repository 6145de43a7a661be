"""Music source separation from deep source priors, without paired training data, on Ray."""
