"""Tests of the client: a small public store, read as a folder, over HTTP and over S3."""
