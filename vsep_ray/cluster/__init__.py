"""Everything that drives Ray, a room per job, and what the jobs have in common."""
