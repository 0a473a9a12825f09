"""Whatever happens between us and Prometheus: a window is complete and exact, or it is not there, and heals.

Each fault is between the real server and the real snapshot job, by both read paths.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from schemas.errors import SourceError
from tests.faults.lab import BODY, CPU, Lab
from tests.faults.proxy import Chosen, Request, answer, cut, flip_body, flip_head, hang, trickle

PAGE = answer(200, f"<!doctype html><title>Log in</title>{BODY}".encode(), kind="text/html")
LOGIN = answer(302, Location=f"https://login.example/?next={BODY}")
LIMIT = answer(422, f'{{"status":"error","error":"too many samples {BODY}"}}'.encode(), kind="application/json")
REFUSED = answer(400, BODY.encode())


hanging = pytest.mark.parametrize(
    "share", [pytest.param(None, id="before the headers"), pytest.param(0.6, id="in mid-body")]
)


def once(fault: Chosen) -> Callable[[Request], Chosen | None]:
    """Return what spoils the first request for a metric, and no other."""
    left = [fault]
    return lambda request: left.pop() if left and request.mentions(CPU) else None


def always(fault: Chosen) -> Callable[[Request], Chosen | None]:
    """Return what spoils every request for a metric."""
    return lambda request: fault if request.mentions(CPU) else None


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(answer(500, BODY.encode()), id="500"),
        pytest.param(answer(503, BODY.encode(), Retry_After="1"), id="503 with Retry-After"),
        pytest.param(answer(429, BODY.encode(), Retry_After="0"), id="429"),
        pytest.param(cut(0.0), id="cut before the body"),
        pytest.param(cut(0.6), id="cut in mid-body"),
        pytest.param(trickle(pieces=20, seconds=0.02), id="slow"),
    ],
)
def test_what_passes_costs_nothing_but_time(lab: Lab, fault: Chosen) -> None:
    lab.proxy.fault = once(fault)

    result = lab.run()

    assert (result.commits, result.due) == (1, 1)
    lab.assert_exact(lab.planted.window(0))
    lab.assert_only_whole_windows()


@hanging
def test_a_server_that_hangs_once_is_asked_again(lab: Lab, share: float | None) -> None:
    lab.source["timeout"] = "300ms"
    lab.proxy.fault = once(hang(share))

    assert lab.run().commits == 1

    lab.assert_exact(lab.planted.window(0))


@hanging
def test_a_server_that_hangs_for_ever_is_left_and_tried_by_the_next_run(lab: Lab, share: float | None) -> None:
    lab.source["timeout"] = "300ms"
    lab.proxy.fault = always(hang(share))

    with pytest.raises(SourceError, match=r"http://127.0.0.1:[0-9]+ gave no answer in 0.3 s$"):
        lab.run()

    _assert_healed(lab)


BROKEN = "the connection to http://127.0.0.1:[0-9]+ broke before the end of the answer$"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        pytest.param(answer(500, BODY.encode()), "answered 500$", id="500"),
        pytest.param(answer(503, BODY.encode(), Retry_After="0"), "answered 503$", id="503"),
        pytest.param(answer(429, BODY.encode()), "answered 429$", id="429"),
        pytest.param(LIMIT, "limit of the server", id="422 limit"),
        pytest.param(REFUSED, "answered 400$", id="400"),
        pytest.param(answer(401, BODY.encode()), "answered 401; the token or password", id="401"),
        pytest.param(PAGE, "did not answer as Prometheus does|does not stream XOR chunks$", id="HTML page"),
        pytest.param(LOGIN, "answered 302 with a redirect, perhaps to a login; ", id="redirect to a login"),
        pytest.param(cut(0.6), BROKEN, id="cut in mid-body"),
        pytest.param(
            cut(0.6, politely=True), "the body ended|did not answer as Prometheus does", id="cut, as if whole"
        ),
        pytest.param(flip_head(b"HTTP"), BROKEN, id="bit in the version of HTTP"),
        pytest.param(flip_head(b"00 OK"), "answered 280$", id="bit in the status"),
    ],
)
def test_what_stays_leaves_no_half_window_and_heals_when_it_goes(lab: Lab, fault: Chosen, message: str) -> None:
    lab.proxy.fault = always(fault)

    with pytest.raises(SourceError, match=message) as caught:
        lab.run()

    assert caught.value.exit_code == 3
    _assert_healed(lab)


@pytest.mark.parametrize("lab", ["remote-read"], indirect=True)
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        pytest.param(flip_body(0.5), "does not have its announced CRC32C$", id="in a payload"),
        pytest.param(flip_body(0), "CRC32C$|ended .* before the end of a frame$|frame", id="in a frame's length"),
        pytest.param(flip_body(3), "does not have its announced CRC32C$|frame", id="in a checksum"),
        pytest.param(flip_head(b"application"), "does not stream XOR chunks$", id="in the type of the content"),
    ],
)
def test_a_bit_that_toppled_is_noticed(lab: Lab, fault: Chosen, message: str) -> None:
    """Frames carry checksums. JSON has none: there, only what breaks its form can be noticed."""
    chosen = always(fault)
    lab.proxy.fault = lambda request: chosen(request) if request.path.startswith("/api/v1/read") else None

    with pytest.raises(SourceError, match=message):
        lab.run()

    _assert_healed(lab)


def _assert_healed(lab: Lab) -> None:
    """Assert that nothing was committed, and that the next run without the fault commits the whole."""
    assert not lab.commits()
    lab.assert_only_whole_windows()

    lab.proxy.fault = lambda _: None
    assert lab.run().commits == 1

    lab.assert_exact(lab.planted.window(0))
    lab.assert_only_whole_windows()
