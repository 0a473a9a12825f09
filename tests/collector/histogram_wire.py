"""Prometheus's remote-write message with native histograms, made at run time and apart from the collector's own.

Doubles are declared as fixed64, which looks the same on the wire but keeps every bit of a NaN.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from typing import Any, Final

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.collector.histogram_chunks import STALE, Histogram, deltas_of, spans_of, to_bits
from tests.prometheus.server import RealPrometheus, WriteRefused
from tests.prometheus.wire import Labels

_FIELD = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "tests.histograms"
_DOUBLE: Final = _FIELD.TYPE_FIXED64
_SCHEMA: Final[dict[str, list[tuple[int, str, Any, bool]]]] = {  # message: (number, name, type, repeated)
    "Label": [(1, "name", _FIELD.TYPE_STRING, False), (2, "value", _FIELD.TYPE_STRING, False)],
    "Sample": [(1, "bits", _DOUBLE, False), (2, "time_ms", _FIELD.TYPE_INT64, False)],
    "Span": [(1, "offset", _FIELD.TYPE_SINT32, False), (2, "length", _FIELD.TYPE_UINT32, False)],
    "Histogram": [
        (1, "count_int", _FIELD.TYPE_UINT64, False),
        (2, "count_float", _DOUBLE, False),
        (3, "sum", _DOUBLE, False),
        (4, "schema", _FIELD.TYPE_SINT32, False),
        (5, "zero_threshold", _DOUBLE, False),
        (6, "zero_count_int", _FIELD.TYPE_UINT64, False),
        (7, "zero_count_float", _DOUBLE, False),
        (8, "negative_spans", "Span", True),
        (9, "negative_deltas", _FIELD.TYPE_SINT64, True),
        (10, "negative_counts", _DOUBLE, True),
        (11, "positive_spans", "Span", True),
        (12, "positive_deltas", _FIELD.TYPE_SINT64, True),
        (13, "positive_counts", _DOUBLE, True),
        (14, "reset_hint", _FIELD.TYPE_INT32, False),
        (15, "time_ms", _FIELD.TYPE_INT64, False),
        (16, "custom_values", _DOUBLE, True),
    ],
    "TimeSeries": [(1, "labels", "Label", True), (2, "samples", "Sample", True), (4, "histograms", "Histogram", True)],
    "WriteRequest": [(1, "timeseries", "TimeSeries", True)],
}

_SAMPLES_A_REQUEST = 2_000

Mixed = Sequence[tuple[int, Histogram | int]]
"""(milliseconds since 1970, a histogram or the 64 bits of a float)."""


def _make_messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="tests/histograms.proto", package=_PACKAGE, syntax="proto3")
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


def encode_write(series: Iterable[tuple[Labels, Mixed]]) -> bytes:
    """Return the compressed body of a remote-write request."""
    request = _MESSAGES["WriteRequest"]()
    for labels, samples in series:
        entry = request.timeseries.add()
        for name, value in sorted(labels.items()):  # the receiver wants them sorted
            entry.labels.add(name=name, value=value)
        for time_ms, sample in samples:
            if isinstance(sample, Histogram):
                _fill(entry.histograms.add(time_ms=time_ms), sample)
            else:
                entry.samples.add(time_ms=time_ms, bits=sample)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def _fill(message: Any, one: Histogram) -> None:  # noqa: ANN401 - made at run time
    message.schema = one.schema
    message.zero_threshold = to_bits(one.zero_threshold)
    message.sum = one.sum_bits
    message.reset_hint = one.hint
    message.custom_values.extend(map(to_bits, one.bounds))
    for buckets, side in ((one.positive, "positive"), (one.negative, "negative")):
        for offset, length in spans_of(buckets):
            getattr(message, f"{side}_spans").add(offset=offset, length=length)
        counts = [buckets[index] for index in sorted(buckets)]
        if _is_of_floats(one):
            getattr(message, f"{side}_counts").extend(to_bits(count) for count in counts)
        else:
            getattr(message, f"{side}_deltas").extend(deltas_of(counts))
    if _is_of_floats(one):
        message.count_float, message.zero_count_float = to_bits(one.total), to_bits(one.zero_count)
    else:
        message.count_int, message.zero_count_int = int(one.total), int(one.zero_count)


def write_mixed(prometheus: RealPrometheus, series: Sequence[tuple[Labels, Mixed]]) -> None:
    """Send series by remote write, instant after instant: the server takes no histogram out of order.

    Of one request it stores the floats first, then the histograms of each kind, and turns stale floats into stale
    histograms by what it had stored before; what is then out of order it drops in silence. So a request ends where a
    series changes its kind.
    """
    by_time = [(labels, dict(samples)) for labels, samples in series]
    pending: list[tuple[Labels, Mixed]] = []
    kinds: dict[int, str] = {}
    for time in sorted({time for _, samples in series for time, _ in samples}):
        now = {number: samples[time] for number, (_, samples) in enumerate(by_time) if time in samples}
        changed = any(kinds.get(number, _kind(sample)) != _kind(sample) for number, sample in now.items())
        if changed or len(pending) >= _SAMPLES_A_REQUEST:
            _send(prometheus.url, encode_write(pending))
            pending, kinds = [], {}
        pending += [(series[number][0], [(time, sample)]) for number, sample in now.items()]
        kinds |= {number: _kind(sample) for number, sample in now.items()}
    _send(prometheus.url, encode_write(pending))


def _kind(sample: Histogram | int) -> str:
    if sample == STALE or (isinstance(sample, Histogram) and sample.stale):
        return "stale"
    if isinstance(sample, Histogram):
        return "histogram of floats" if _is_of_floats(sample) else "histogram of integers"
    return "float"


def _is_of_floats(one: Histogram) -> bool:
    """Return whether the receiver takes it for one of floats: only if it has observed something."""
    return one.floats and (one.total > 0 or one.zero_count > 0)


def _send(url: str, body: bytes) -> None:
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    headers["X-Prometheus-Remote-Write-Version"] = "0.1.0"
    request = urllib.request.Request(url + "/api/v1/write", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        with error:
            raise WriteRefused(f"{error.code}: {error.read(300).decode(errors='replace').strip()}") from None
