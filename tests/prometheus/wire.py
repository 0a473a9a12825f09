"""Prometheus's remote-write and remote-read messages, made at run time and apart from the collector's own.

A sample's value is declared as fixed64, which looks like a double on the wire but keeps every bit of a NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Labels = Mapping[str, str]
Samples = list[tuple[int, int]]
"""(milliseconds since 1970, the 64 bits of the value)."""

_FIELD = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "tests.prometheus"
_SCHEMA: Final[dict[str, list[tuple[int, str, Any, bool]]]] = {  # message: (number, name, type, repeated)
    "Label": [(1, "name", _FIELD.TYPE_STRING, False), (2, "value", _FIELD.TYPE_STRING, False)],
    "Sample": [(1, "bits", _FIELD.TYPE_FIXED64, False), (2, "time_ms", _FIELD.TYPE_INT64, False)],
    "TimeSeries": [(1, "labels", "Label", True), (2, "samples", "Sample", True)],
    "WriteRequest": [(1, "timeseries", "TimeSeries", True)],
    "Matcher": [
        (1, "type", _FIELD.TYPE_INT32, False),
        (2, "name", _FIELD.TYPE_STRING, False),
        (3, "value", _FIELD.TYPE_STRING, False),
    ],
    "Query": [
        (1, "start_ms", _FIELD.TYPE_INT64, False),
        (2, "end_ms", _FIELD.TYPE_INT64, False),
        (3, "matchers", "Matcher", True),
    ],
    "ReadRequest": [(1, "queries", "Query", True)],
    "QueryResult": [(1, "timeseries", "TimeSeries", True)],
    "ReadResponse": [(1, "results", "QueryResult", True)],
}


def _make_messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="tests/prometheus.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for number, field_name, kind, repeated in fields:
            field = message.field.add(name=field_name, number=number)
            field.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            if isinstance(kind, str):
                field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()  # not the default one: nothing else may see these names
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _SCHEMA}


_MESSAGES: Final = _make_messages()


def encode_write(series: Iterable[tuple[Labels, Samples]]) -> bytes:
    """Return the compressed body of a remote-write request."""
    request = _MESSAGES["WriteRequest"]()
    for labels, samples in series:
        entry = request.timeseries.add()
        for name, value in sorted(labels.items()):  # the receiver wants them sorted
            entry.labels.add(name=name, value=value)
        for time_ms, bits in samples:
            entry.samples.add(time_ms=time_ms, bits=bits)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def encode_read(metric: str, start_ms: int, end_ms: int) -> bytes:
    """Return the compressed body of a remote-read request for plain samples, both ends included."""
    request = _MESSAGES["ReadRequest"]()
    query = request.queries.add(start_ms=start_ms, end_ms=end_ms)
    query.matchers.add(name="__name__", value=metric)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def decode_read(body: bytes) -> list[tuple[dict[str, str], Samples]]:
    """Return the series of a remote-read answer of plain samples."""
    response = _MESSAGES["ReadResponse"].FromString(bytes(cramjam.snappy.decompress_raw(body)))
    return [
        (
            {label.name: label.value for label in series.labels},
            [(sample.time_ms, sample.bits) for sample in series.samples],
        )
        for result in response.results
        for series in result.timeseries
    ]
