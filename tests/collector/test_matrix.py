"""A range query's answer is decoded by columns to exactly what a JSON parser finds in it, however it arrives."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from collector.matrix import HistogramsFound, Matrix, decode_matrix
from schemas.raw import open_raw
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
    (matrix,), _ = _take(json.dumps(answer, separators=(",", ":")).encode())
    assert (open_raw(matrix.labels), matrix.times_ms.tolist(), matrix.values.tolist()) == (
        [{"values": "x"}],
        [1000],
        [2.0],
    )


@pytest.mark.parametrize("piece_bytes", [1, 2, 7, 64, 10_000])
def test_an_answer_may_be_cut_anywhere(piece_bytes: int) -> None:
    """Between two bytes of a name, a number or a bracket: nobody knows where a piece of the network ends."""
    names = ["a", '"values":[[1,"2"]]', "ümläut", "]]", "b", "}"]
    wanted: list[tuple[str, Pairs]] = [(name, [(n + 0.5, str(n * 7)) for n in range(3)]) for name in names]
    content = _render(wanted)

    for batch_bytes in (1, 50, 1 << 20):
        matrices, answer = _take(content, piece_bytes=piece_bytes, batch_bytes=batch_bytes)
        assert [found for matrix in matrices for found in _list(matrix)] == _parse(wanted)
        assert answer == {"status": "success", "data": {"resultType": "matrix", "result": []}}


def test_series_are_handed_on_before_the_answer_ends() -> None:
    """A large answer is never held whole."""
    content = _render([(str(n), [(float(t), "1") for t in range(100)]) for n in range(50)])
    arrived = 0

    def pieces() -> Iterator[bytes]:
        nonlocal arrived
        for first in range(0, len(content), 7):  # which cuts every token in some place
            arrived += 7
            yield content[first : first + 7]

    handed_on = [(arrived, len(matrix.labels)) for matrix in decode_matrix(pieces(), batch_bytes=5000)]

    assert sum(series for _, series in handed_on) == 50
    assert len(handed_on) > len(content) // 7000
    assert all(gathered <= 7000 * (n + 1) for n, (gathered, _) in enumerate(handed_on[:-1]))


def test_what_stands_behind_the_series_is_handed_over() -> None:
    """There a server says that data are missing."""
    content = _render([("a", [(1.0, "2")]), ("b", [(1.0, "2")])])[:-1] + b',"warnings":["[[made-up]]"],"infos":[]}'

    for batch_bytes in (1, 1 << 20):
        assert _take(content, batch_bytes=batch_bytes)[1]["warnings"] == ["[[made-up]]"]


@pytest.mark.parametrize("batch_bytes", [1, 1 << 20])
@pytest.mark.parametrize(
    "series", ['{"metric":{},"histograms":[[1,{}]]}', '{"metric":{},"values":[[1,"2"]],"histograms":[[1,{}]]}']
)
@pytest.mark.parametrize("first", [True, False])
def test_native_histograms_are_noticed(series: str, first: bool, batch_bytes: int) -> None:
    floats = '{"metric":{},"values":[[1,"2"]]}'
    both = f"{series},{floats}" if first else f"{floats},{series}"

    with pytest.raises(HistogramsFound):
        _take(f'{{"data":{{"result":[{both}]}}}}'.encode(), batch_bytes=batch_bytes)


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
@pytest.mark.parametrize("batch_bytes", [1, 1 << 20])
def test_what_is_no_list_of_samples_is_refused(values: str, batch_bytes: int) -> None:
    body = f'{{"status":"success","data":{{"result":[{{"metric":{{}},"values":{values}}}]}}}}'

    with pytest.raises((ValueError, TypeError)):
        _take(body.encode(), batch_bytes=batch_bytes)


@pytest.mark.parametrize("batch_bytes", [1, 1 << 20])
def test_an_answer_that_ends_early_is_refused(batch_bytes: int) -> None:
    content = _render([("a", [(1.0, "2"), (2.0, "3")]), ("b", [(1.0, "2")])])

    for end in range(len(content)):
        with pytest.raises((ValueError, TypeError, KeyError, IndexError, AttributeError)):
            _take(content[:end], batch_bytes=batch_bytes)


def test_samples_outside_the_result_are_refused() -> None:
    with pytest.raises(ValueError, match="samples outside the result"):
        _take(b'{"data":{"result":[]},"more":{"values":[[1,"2"]]}}')


def test_an_answer_shows_no_labels() -> None:
    (matrix,), _ = _take(_render([("payroll", [(1.0, "2")])]))

    assert "payroll" not in repr(matrix) + repr(list(matrix.series()))


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


def _take(
    content: bytes, *, piece_bytes: int = 1 << 20, batch_bytes: int = 1 << 20
) -> tuple[list[Matrix], dict[str, Any]]:
    pieces = (content[first : first + piece_bytes] for first in range(0, len(content), piece_bytes))
    decoded = decode_matrix(pieces, batch_bytes=batch_bytes)
    matrices: list[Matrix] = []
    while True:
        try:
            matrices.append(next(decoded))
        except StopIteration as end:
            return matrices, end.value


def _decode(content: bytes) -> list[tuple[str, list[int], list[int]]]:
    return [series for matrix in _take(content)[0] for series in _list(matrix)]


def _list(matrix: Matrix) -> list[tuple[str, list[int], list[int]]]:
    return [
        (open_raw(series.labels)["n"], series.times_ms.tolist(), series.values.view(np.uint64).tolist())
        for series in matrix.series()
    ]


def _parse(series: list[tuple[str, Pairs]]) -> list[tuple[str, list[int], list[int]]]:
    return [
        (name, [round(time * 1000) for time, _ in pairs], [to_bits(float(text)) for _, text in pairs])
        for name, pairs in series
    ]
