"""A sweep has a space that is searched, proposals of points, trials, and a report."""
