"""Studies that others made, adopted as studies of run format 1."""
