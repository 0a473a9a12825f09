"""A range query's answer is decoded by columns to exactly what a JSON parser finds in it."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from collector.matrix import decode_matrix
from tests.collector.hostile import SPECIALS, to_bits

Pairs = list[tuple[float, str]]
TEXTS = ["NaN", "+Inf", "-Inf", "0", "-0", "1", "0.1", "-1.5", "1e+06", "2.5e-308", "5e-324", "9007199254740994"]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_every_spelling_of_a_number_is_read(separators: tuple[str, str]) -> None:
    """Prometheus writes no spaces and no exponents; others that answer like it may."""
    wanted = [("a", [(n * 30.5, text) for n, text in enumerate(TEXTS)]), ("b", [(1767225600.123, "1")]), ("c", [])]

    assert _decode(_render(wanted, separators)) == _parse(wanted)


def test_drawn_numbers_are_read_to_the_last_bit() -> None:
    rng = random.Random(7)
    floats = [float(np.uint64(rng.getrandbits(64)).view(np.float64)) for _ in range(3_000)]
    pairs = [(n / 1000, np.format_float_positional(value, unique=True)) for n, value in enumerate(floats)]
    finite = [(time, text) for time, text in pairs if text not in ("nan", "inf", "-inf")]

    assert _decode(_render([("a", finite)])) == _parse([("a", finite)])


def test_labels_that_look_like_samples_are_labels() -> None:
    """Only the API's own brackets open a list of samples; within a string its quotes are escaped."""
    for name in ('"values":[[1,"2"]]', 'x"],["', "]]", '","values":[[', "\\", "\n", "ümläut"):
        wanted: list[tuple[str, Pairs]] = [(name, [(1.0, "2"), (2.0, "3")]), (name + "2", [(1.0, "4")])]
        assert _decode(_render(wanted)) == _parse(wanted)
    answer = {"status": "success", "data": {"result": [{"metric": {"values": "x"}, "values": [[1, "2"]]}]}}
    series = decode_matrix(json.dumps(answer, separators=(",", ":")).encode())["data"]["result"][0]
    assert (series.labels, series.times_ms.tolist(), series.values.tolist()) == ({"values": "x"}, [1000], [2.0])


@pytest.mark.parametrize(
    "values",
    [
        '[[1,"2"]',
        '[[1,"2"],[3]]',
        '[[1,"2","3"]]',
        '[[1,"2"],[3,"4","5"]]',
        '[["1","2"],["x","4"]]',
        "[[]]",
        '[[1,""]]',
        '[[1,"two"]]',
        '[[,"2"]]',
        '[[1,"2"],,[3,"4"]]',
        '[[1,"2"],[]]',
        '[[1,"2\n3,4"]]',
    ],
)
def test_what_is_no_list_of_samples_is_refused(values: str) -> None:
    body = f'{{"status":"success","data":{{"result":[{{"metric":{{}},"values":{values}}}]}}}}'

    with pytest.raises((ValueError, TypeError)):
        decode_matrix(body.encode())


def test_samples_outside_the_result_are_refused() -> None:
    with pytest.raises(ValueError, match="samples outside the result"):
        decode_matrix(b'{"data":{"result":[]},"more":{"values":[[1,"2"]]}}')


def test_an_answer_shows_no_labels() -> None:
    series = decode_matrix(_render([("payroll", [(1.0, "2")])]))["data"]["result"][0]

    assert "payroll" not in repr(series)


def test_specials_are_spelt_as_the_server_spells_them() -> None:
    """The exactness suite holds this against a real server; here it needs none."""
    spelt = [
        (float(n), np.format_float_positional(np.uint64(bits).view(np.float64))) for n, bits in enumerate(SPECIALS)
    ]
    finite = [(time, text) for time, text in spelt if "inf" not in text]

    assert _decode(_render([("a", finite)])) == _parse([("a", finite)])


def _render(series: list[tuple[str, Pairs]], separators: tuple[str, str] = (",", ":")) -> bytes:
    result = [{"metric": {"__name__": "up", "n": name}, "values": pairs} for name, pairs in series]
    answer = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    return json.dumps(answer, separators=separators).encode()


def _decode(content: bytes) -> list[tuple[str, list[int], list[int]]]:
    return [
        (series.labels["n"], series.times_ms.tolist(), series.values.view(np.uint64).tolist())
        for series in decode_matrix(content)["data"]["result"]
    ]


def _parse(series: list[tuple[str, Pairs]]) -> list[tuple[str, list[int], list[int]]]:
    return [
        (name, [round(time * 1000) for time, _ in pairs], [to_bits(float(text)) for _, text in pairs])
        for name, pairs in series
    ]
