"""Build a release from committed snapshots: merge runs into daily files, describe them, hash them, audit them."""
