"""Fetch the TSDB's own chunks as they are: what they take is what Prometheus stores for the samples."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

import cramjam
import requests

from benchmarks.job import Job, Output
from collector.remote_pb2 import Chunk, ChunkedReadResponse, LabelMatcher, ReadRequest


def run_chunks(job: Job) -> Output:
    """Fetch the chunks that overlap the span; count the samples in them."""
    samples = size = 0
    for metric in job.metrics:
        for _, chunks in read_chunks(job.url, metric, job.span.start_ms, job.span.end_ms - 1):
            samples += sum(int.from_bytes(chunk.data[:2], "big") for chunk in chunks)
            size += sum(len(chunk.data) for chunk in chunks)
    return Output(samples, size)


def read_chunks(url: str, metric: str, first_ms: int, last_ms: int) -> Iterator[tuple[dict[str, str], list[Chunk]]]:
    """Yield labels and chunks of every series that overlap a span, both ends included."""
    request = ReadRequest(accepted_response_types=[ReadRequest.STREAMED_XOR_CHUNKS])
    query = request.queries.add(start_timestamp_ms=first_ms, end_timestamp_ms=last_ms)
    query.matchers.add(type=LabelMatcher.EQ, name="__name__", value=metric)
    answer = requests.post(
        f"{url}/api/v1/read",
        data=bytes(cramjam.snappy.compress_raw(request.SerializeToString())),
        headers={"Content-Encoding": "snappy", "X-Prometheus-Remote-Read-Version": "0.1.0"},
        timeout=300,
    )
    answer.raise_for_status()
    body = io.BytesIO(answer.content)
    while payload := _read_frame(body):
        for series in ChunkedReadResponse.FromString(payload).chunked_series:
            yield {label.name: label.value for label in series.labels}, list(series.chunks)


def _read_frame(body: BinaryIO) -> bytes:
    """Return the next frame's contents; its checksum is of no interest here."""
    length = shift = 0
    while byte := body.read(1):
        length |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            body.seek(4, io.SEEK_CUR)
            return body.read(length)
    return b""
