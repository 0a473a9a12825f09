"""One real Prometheus for all tests, and independent ways to write into it and to ask it."""
