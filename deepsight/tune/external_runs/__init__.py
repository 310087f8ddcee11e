"""Studies that other people's own Ray Tune runs leave behind in our run format."""
