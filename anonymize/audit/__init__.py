"""The audit of finished files. It reads bytes that were written, and shares no code with what wrote them.

Two searches: the grammar (every string must prove that it is safe) and, while raw values still exist, the raw set
(no raw value occurs in any channel of a file). Findings name place, code and count, never a value.
"""
