"""One self-contained HTML page: scores between floor and ceiling, and players for the worst tracks."""
