"""Tests of the jobs: wiring, stores, snapshots, releases and what is published."""
