"""What helps to write a table: a template, the next minor version of one that exists, a difference in words. Pure."""

import re
from collections.abc import Iterator
from typing import Final

from schemas.compat import compare_tables
from schemas.errors import UsageError
from schemas.table import TableSchema

_VERSION: Final = re.compile(r'^version: *"?[0-9.]+"?', re.MULTILINE)

TEMPLATE: Final = """\
# Name this file {table}_v1.0.yaml. Nothing of it is published until the line with "unreviewed" is gone: take it away
# when somebody has looked at every label and every value. Name the table in your policy as well.
unreviewed: true
table: {table}
version: "1.0"
family: ops # ops, or ml
description: One sentence on what the table holds, for somebody who has never seen the cluster.
labels:
  # Each label says how it is made safe, by exactly one of:
  #   identity: a domain of the policy; its values become pseudonyms
  #   vocabulary: a list of public words in the policy; all other values become "other"
  #   number: int32, or text for numbers with a fraction such as le
  # A label that is none of these is left out here, and so is never published. Unique ids, addresses, free text and
  # people are always left out.
  - name: namespace
    identity: namespace
    meaning: Namespace, mostly of one team or application.
# Coarse first: rows are sorted by these, which lets readers skip what they did not ask for.
sort_key: [namespace]
metrics:
  - name: acme_requests_total # the exact name, never a pattern
    type: counter # counter, gauge, histogram (each of _bucket, _sum and _count by itself), summary, info, untyped
    unit: count
    value: exact # or bucket for capacities, age for start times, blank_to_null for DCGM
    exporter: acme-exporter 1.0 # its name stands in label_classes.yaml beside this file, with a class for each label
    meaning: One sentence on what the number says.
    labels: [namespace]
"""


def render_template(table: str) -> str:
    """Return the commented beginning of a new table; it is refused until somebody has reviewed it."""
    return TEMPLATE.format(table=table)


def render_next_minor(schema: TableSchema, text: str) -> str:
    """Return the YAML of the next minor version: ``text``, that of the newest, under another version.

    Raise ``UsageError`` when the text has no version of its own.
    """
    if len(_VERSION.findall(text)) != 1:
        raise UsageError(f"the file of table {schema.table} {schema.version} has no line that begins with version:")
    return _VERSION.sub(f'version: "{schema.major}.{schema.minor + 1}"', text)


def tell_difference(older: TableSchema, newer: TableSchema) -> Iterator[str]:
    """Yield every difference in words, then what versions may make it."""
    yield f"from {older.table} {older.version} to {newer.table} {newer.version}"
    changes = compare_tables(older, newer)
    for change in changes:
        yield f"{'breaks readers: ' if change.breaking else ''}{change}"
    if not changes:
        yield "nothing but the version, or the order of metrics"
    elif any(change.breaking for change in changes):
        yield f"only a new major version may do this: {older.major + 1}.0; within a major version nothing but additions"
    else:
        yield f"a minor version may do this: {older.major}.{older.minor + 1}"
