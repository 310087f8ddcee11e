"""Readers of studies that others made, one for each kind of source."""
