"""Publish a release, rebuild the catalog and the index page, verify what readers see."""
