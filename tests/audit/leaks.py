"""Releases that are broken on purpose: every way that is seeded anywhere, for the audit to find.

The manifest and the sums fit what was done, so that nothing but the intended check can find it.
"""

from tests.audit import leaks_in_files, leaks_in_parquet, leaks_in_rows, leaks_in_texts
from tests.audit.seeding import LEAKS, Leak

__all__ = ["LEAKS", "Leak", "leaks_in_files", "leaks_in_parquet", "leaks_in_rows", "leaks_in_texts"]
