"""The contract: table schemas, policy, manifest, windows and errors. No I/O but its own files."""
