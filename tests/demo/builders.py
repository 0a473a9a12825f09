"""The day that the tests of the quick start look at."""

from __future__ import annotations

from pathlib import Path

from demo.cluster import Span

SEED = 7
END = 1_795_460_400  # 2026-11-23T19:00:00Z
DAY_SPAN = Span(END - 26 * 3600, END)
REPOSITORY = Path(__file__).resolve().parents[2]
