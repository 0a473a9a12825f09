"""The wiring: configuration, command line, store, snapshot, release, publishing."""
