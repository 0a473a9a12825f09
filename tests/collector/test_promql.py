"""Selectors: what a label's value says can't become part of the query."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.promql import (
    Matcher,
    equal_matchers,
    escape_regex,
    match_any,
    parse_matcher,
    quote,
    render_any,
    render_label,
    render_selector,
)


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("plain", '"plain"'),
        ('a"b', r'"a\"b"'),
        ("a\\b", r'"a\\b"'),
        ("a\nb", r'"a\nb"'),
        ("\\n", r'"\\n"'),
        ('\\"', r'"\\\""'),
        ('"} or up{a="', r'"\"} or up{a=\""'),
        ("", '""'),
    ],
)
def test_values_are_escaped(value: str, literal: str) -> None:
    assert quote(value) == literal


@given(st.text(alphabet=st.sampled_from(list('ab"\\\n{}=,'))))
@settings(derandomize=True, database=None, deadline=None)
def test_an_escaped_value_reads_back_as_itself(value: str) -> None:
    """Read back by a small reader of Go's string literals, from the left, one escape after another."""
    text, read = quote(value)[1:-1], ""
    while text:
        if text[0] == "\\":
            read += {"n": "\n", '"': '"', "\\": "\\"}[text[1]]
            text = text[2:]
        else:
            assert text[0] not in '"\n', "the literal would end here"
            read += text[0]
            text = text[1:]
    assert read == value


def test_a_selector_names_its_metric_as_a_label() -> None:
    """A recording rule's colons and a metric called like a keyword are then names like any other."""
    assert render_selector("job:rate:sum") == '{__name__="job:rate:sum"}'
    matchers = (Matcher("a", "=~", "x|y"), Matcher("b", "!=", 'q"'))
    assert render_selector("sum", matchers) == r'{__name__="sum",a=~"x|y",b!="q\""}'


@given(st.text(alphabet=st.sampled_from(list("ab.\\+*?()|[]{}^$-# \n"))), st.text(alphabet="ab.|\n", max_size=4))
@settings(derandomize=True, database=None, deadline=None)
def test_an_escaped_regex_matches_its_value_alone(value: str, other: str) -> None:
    """The counts' tests hold this against a real server's RE2."""
    assert re.fullmatch(escape_regex(value), value)
    assert bool(re.fullmatch(escape_regex(value), other)) == (value == other)


def test_names_that_only_prometheus_3_takes_are_quoted() -> None:
    """Since 3.0 a label may be called anything; without quotes the query would not be one."""
    assert Matcher("http.status", "=", "200").render() == '"http.status"="200"'
    assert render_label('a"b') == r'"a\"b"'
    assert render_selector("http.requests", [Matcher("pod", "=", "a")]) == '{__name__="http.requests",pod="a"}'


def test_several_metrics_are_selected_by_their_names_alone() -> None:
    assert render_any(["job:a:sum", "b"], [Matcher("x", "!=", "")]) == '{__name__=~"job:a:sum|b",x!=""}'
    assert match_any("a", ["x.y"]) == Matcher("a", "=~", r"x\.y")


def test_equal_matchers_are_sorted() -> None:
    assert equal_matchers({"b": "2", "a": "1"}) == (Matcher("a", "=", "1"), Matcher("b", "=", "2"))


@pytest.mark.parametrize("op", ["=", "!=", "=~", "!~"])
def test_a_schemas_matcher_is_read(op: str) -> None:
    assert parse_matcher(f'container{op}"x.*"').render() == f'container{op}"x.*"'


@pytest.mark.parametrize("text", ["", "a", 'a="', 'a="x" ', "a='x'", 'a=="x"', 'a="x",b="y"', 'a="x\\"'])
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="wanted a matcher such as"):
        parse_matcher(text)
