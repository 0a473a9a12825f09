"""Collect due windows: read, put on the grid, pseudonymise, write sorted runs, scan them, commit."""
