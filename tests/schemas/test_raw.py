"""A sealed value shows what it is called and how much it holds, wherever careless code may put it."""

import copy
import dataclasses
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from io import StringIO

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from anonymize.columns import RawColumn
from anonymize.identity import IdentityFrame, build_frame
from anonymize.transform import Report
from collector.counts import Wanted
from collector.grid import Grid
from collector.http_read import GriddedBlock
from collector.labels import LabelSets
from collector.matrix import Matrix, MatrixSeries
from collector.native import NativeBlock
from collector.promql import Matcher, match_any
from collector.reader import ServerReader, Serving
from collector.scrapes import ScrapeTimes, find_scrapes
from collector.split import Part, Read
from collector.up import Targets, UpSamples, find_targets
from jobs.config import Settings
from jobs.log import EventFormatter
from schemas.raw import Raw, open_raw

SECRET = "payroll-of-the-boss"
LABELS = {"namespace": SECRET, "instance": f"{SECRET}:9100", "job": SECRET}
SETS = LabelSets([LABELS])
ROWS: Raw[list[dict[str, str]]] = Raw("labels", [LABELS])
GRID = Grid(0, 60_000, 30_000, 60_000, lookback_includes_edge=True)
MATCHER = Matcher("namespace", "=~", SECRET)
ONE, NONE = np.ones(1, np.int64), np.zeros(0)
UPS = UpSamples(ROWS, ONE, np.array([30_000]), np.ones(1, np.uint8), shows_ends=True)
CARRIERS: tuple[object, ...] = (
    Raw("namespace", SECRET),
    Raw("namespace", [SECRET]),
    Raw("values", {SECRET}),
    SETS,
    SETS.columns(),
    SETS.rows(),
    Matrix(ROWS, ONE, ONE, np.ones(1)),
    *Matrix(ROWS, ONE, ONE, np.ones(1)).series(),
    GriddedBlock(SETS, GRID, []),
    NativeBlock(SETS, [[]], GRID, "up"),
    UPS,
    find_targets(UPS, GRID, ignored=()),
    find_scrapes(UPS, GRID),
    MATCHER,
    match_any("pod", [SECRET]),
    Read((MATCHER,), 1),
    Part(MATCHER, 1),
    Wanted("up", (MATCHER,)),
    Serving(ServerReader(None, None, "http"), matchers=(MATCHER,)),  # type: ignore[arg-type] # a server has no say here
    build_frame([Raw("labels", [{"node": SECRET}])]),
    RawColumn(np.zeros(1, np.int32), Raw("pod", [SECRET])),
    Report(raw_values=Raw("values", {SECRET})),
    Settings.model_validate(
        {
            "source": {
                "name": "lab",
                "url": f"http://reader:{SECRET}@127.0.0.1:9090",
                "replicas": [f"http://reader:{SECRET}@127.0.0.1:9091"],
                "match": {"cluster": SECRET},
                "external_labels": {"site": SECRET},
                "headers": {"X-Scope-OrgID": SECRET},
                "proxy_url": f"http://reader:{SECRET}@127.0.0.1:3128",
            }
        }
    ),
)
KINDS = {type(each) for each in CARRIERS}


def raised_with(carrier: object) -> BaseException:
    try:
        raise KeyError(carrier)
    except KeyError as error:
        return error


def traced(carrier: object) -> str:
    """Return a traceback as the most talkative tools print it, every local included."""
    error = raised_with(carrier)
    out = StringIO()
    trace = Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True, locals_max_length=99)
    Console(file=out, width=1000).print(trace)
    told = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=True)
    return out.getvalue() + "".join(told.format())


def logged(carrier: object) -> str:
    record = logging.makeLogRecord({"msg": carrier, "args": (carrier,), "field": carrier})
    return "".join(formatter.format(record) for formatter in (EventFormatter("text"), EventFormatter("json")))


def in_plain_logging(carrier: object) -> str:
    return logging.Formatter().format(logging.makeLogRecord({"msg": "%s %r", "args": (carrier, carrier)}))


def stored(carrier: object) -> str:
    """Return what a pickle or a copy shows; refusing is as good."""
    try:
        return pickle.dumps(carrier).decode("latin-1") + repr(copy.copy(carrier)) + repr(copy.deepcopy(carrier))
    except TypeError as error:
        return str(error)


def taken_apart(carrier: object) -> str:
    """Return what a dataclass shows when it is made a dictionary; refusing is as good."""
    if not dataclasses.is_dataclass(carrier) or isinstance(carrier, type):
        return ""
    try:
        return repr(dataclasses.asdict(carrier))
    except TypeError as error:
        return str(error)


def refused_by_arrow(carrier: object) -> str:
    with pytest.raises((pa.ArrowException, TypeError)) as refused:
        pa.array([[carrier], 1])  # type: ignore[list-item]
    return str(refused.value)


PLACES: tuple[Callable[[object], str], ...] = (
    repr,
    str,
    lambda carrier: f"{carrier} {carrier!r} {carrier!a}",
    lambda carrier: f"{carrier}",
    lambda carrier: "%s %r" % (carrier, carrier),  # noqa: UP031 - as careless code may
    lambda carrier: json.dumps({"field": carrier}, default=str),
    pprint.pformat,
    lambda carrier: pretty_repr(carrier, expand_all=True),
    traced,
    logged,
    in_plain_logging,
    taken_apart,
    lambda carrier: repr(np.array([carrier, None], dtype=object)),
    refused_by_arrow,
)


@pytest.mark.parametrize("place", PLACES)
def test_no_carrier_shows_a_value_in_any_place(place: Callable[[object], str]) -> None:
    """Each of them was once a place where somebody's tool printed what it held."""
    leaks = [type(carrier).__name__ for carrier in CARRIERS if SECRET in place(carrier)]

    assert not leaks


def test_no_carrier_gives_a_value_to_a_pickle_or_a_copy() -> None:
    """Another process has other logs and another disk. Settings are read anew by each, and hold passwords besides."""
    leaks = [type(each).__name__ for each in CARRIERS if not isinstance(each, Settings) and SECRET in stored(each)]

    assert not leaks


def test_the_carriers_are_all_there() -> None:
    """A new class that takes raw values must come here to be looked at."""
    wanted = {Matrix, MatrixSeries, UpSamples, Targets, ScrapeTimes, IdentityFrame, LabelSets, Raw}

    assert wanted <= KINDS


def test_a_sealed_value_tells_its_name_and_count() -> None:
    assert repr(Raw("pod", ["a", "b"])) == f"{Raw('pod', ['a', 'b'])}" == "<raw pod: 2>"
    assert repr(Raw("pod", "web-0")) == "<raw pod: 1>"


def test_a_sealed_value_is_no_text_and_no_list() -> None:
    """It cannot be joined, searched, indexed or walked over by mistake; mypy says so, and so does Python."""
    sealed = Raw("pod", [SECRET])

    for misuse in (
        lambda: "".join(sealed),  # type: ignore[arg-type]
        lambda: list(sealed),  # type: ignore[call-overload]
        lambda: sealed[0],  # type: ignore[index]
        lambda: "x" + sealed,  # type: ignore[operator]
        lambda: SECRET in sealed,  # type: ignore[operator]
        lambda: json.dumps(sealed),
        lambda: setattr(sealed, "other", 1),
        lambda: vars(sealed),
    ):
        with pytest.raises((TypeError, AttributeError)) as refused:
            misuse()
        assert SECRET not in str(refused.value)


def test_equal_values_are_equal_and_only_opening_gives_them() -> None:
    assert Raw("pod", "a") == Raw("pod", "a") != Raw("pod", "b")
    assert hash(Matcher("pod", "=", "a")) == hash(Matcher("pod", "=", "a"))
    assert open_raw(Raw("pod", SECRET)) == SECRET
