"""One module per exporter: each reads the world and yields the series that the exporter would have served."""
