"""Everything that drives Ray lies here, a room per job, and what the jobs have in common."""
