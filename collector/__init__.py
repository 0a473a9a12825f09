"""Prometheus to columns: plan windows, read series, decode chunks, put samples on the grid."""
