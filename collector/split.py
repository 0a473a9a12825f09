"""Divide a metric into reads of bounded size. Pure: who counts its series is an argument.

The reads are disjoint and complete whatever a label's value turns out to be: at each level all but one of them list
values, or beginnings of values, and the one that is left takes everything else: series born since the count, and
those without the label.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import accumulate, groupby
from typing import Final

from collector.promql import Matcher, escape_regex
from schemas.raw import open_raw

REGEX_CHARACTERS: Final = 16_384
"""For all that one level lists together, since its last read excludes all of it in one regular expression."""

CountBy = Callable[[str, tuple[Matcher, ...]], Mapping[str, int]]
"""Counts a metric's series under some matchers by the values of a label; those without it under ``""``."""


@dataclass(frozen=True, slots=True)
class Read:
    """One read of a metric: the matchers beside the metric's own, and how many series were counted for them.

    ``series`` is ``None`` where nobody has counted. Matchers hold raw values, so they never show.
    """

    matchers: tuple[Matcher, ...] = field(default=(), repr=False)
    series: int | None = None


WHOLE: Final = (Read(),)
"""A metric that was neither counted nor divided."""


def plan_reads(total: int, labels: Sequence[str], count_by: CountBy, *, most: int) -> tuple[Read, ...]:
    """Return reads of at most ``most`` series each that together are a metric of ``total`` series.

    ``labels`` may divide it, the best guess first; no more of them are counted than it takes to find a good one. A
    read stays larger than ``most`` only where no label divides it.
    """
    return _divide(Read((), total), tuple(dict.fromkeys(labels)), count_by, most)


def _divide(read: Read, labels: tuple[str, ...], count_by: CountBy, most: int) -> tuple[Read, ...]:
    found = _find_label(read, labels, count_by, most) if read.series and read.series > most else None
    if found is None:
        return (read,)
    label, parts = found
    others = tuple(name for name in labels if name != label)
    return tuple(
        inner
        for part in parts
        for inner in _divide(
            Read((*read.matchers, part.matcher), part.series),
            (*others, label) if part.divisible else others,
            count_by,
            most,
        )
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One of the parts into which a label divides something. ``divisible``: the same label may divide it again."""

    matcher: Matcher = field(repr=False)
    series: int
    divisible: bool = False


def _find_label(
    read: Read, labels: tuple[str, ...], count_by: CountBy, most: int
) -> tuple[str, tuple[Part, ...]] | None:
    """Return the label whose values pack best, with its parts; ``None`` where none divides the read."""
    fewest = -(-(read.series or 0) // most)
    best: tuple[tuple[int, int, int], str, tuple[Part, ...]] | None = None
    for label in labels:
        parts = split_by_label(label, count_by(label, read.matchers), most=most)
        if not parts:
            continue
        excess = sum(part.series for part in parts if part.series > most)
        rank = (excess, len(parts), sum(len(open_raw(part.matcher.value)) for part in parts))
        if best is None or rank < best[0]:
            best = (rank, label, parts)
        if not excess and len(parts) <= fewest + 1 + fewest // 2:
            break  # each further label would cost the server another count
    return best[1:] if best else None


@dataclass(frozen=True, slots=True)
class _Class:
    """Values of a label that stay together: one value, or (``value`` is ``None``) all with one beginning."""

    regex: str = field(repr=False)
    value: str | None = field(repr=False)
    series: int


def split_by_label(label: str, counts: Mapping[str, int], *, most: int) -> tuple[Part, ...]:
    """Return disjoint and complete parts of at most ``most`` series where the label's values allow it.

    ``counts`` maps values to numbers of series. No parts at all mean that the label divides nothing.
    """
    without = counts.get("", 0)
    values = sorted((value, count) for value, count in counts.items() if value)
    classes = [_Class(escape_regex(value), value, count) for value, count in values]
    if sum(len(each.regex) + 1 for each in classes) > REGEX_CHARACTERS:
        classes = _find_beginnings(values, most=most)
    if len(classes) + bool(without) < 2:
        return ()
    packs = _pack(classes, most=most)
    # the longest list is the one that is best not written down
    rest = max((pack for pack in packs if _count(pack) + without <= most), key=len, default=[])
    listed = [pack for pack in packs if pack is not rest]
    if not listed:
        return ()
    excluded = _match(label, [each for pack in listed for each in pack], without=True)
    return (
        *(Part(_match(label, pack), _count(pack), pack[0].value is None) for pack in listed),
        Part(excluded, _count(rest) + without),
    )


def _pack(classes: Sequence[_Class], *, most: int) -> list[list[_Class]]:
    """Fill packs of up to ``most`` series, the largest classes first; one that is larger stays alone."""
    packs: list[list[_Class]] = []
    sums: list[int] = []
    for each in sorted(classes, key=lambda each: (-each.series, each.regex)):
        place = next((n for n, filled in enumerate(sums) if filled + each.series <= most), None)
        if place is None:
            packs.append([each])
            sums.append(each.series)
        else:
            packs[place].append(each)
            sums[place] += each.series
    return packs


def _count(pack: Sequence[_Class]) -> int:
    return sum(each.series for each in pack)


def _match(label: str, classes: Sequence[_Class], *, without: bool = False) -> Matcher:
    if len(classes) == 1 and (value := classes[0].value) is not None:
        return Matcher(label, "!=" if without else "=", value)
    return Matcher(label, "!~" if without else "=~", "|".join(each.regex for each in classes))


def _find_beginnings(values: Sequence[tuple[str, int]], *, most: int) -> list[_Class]:
    """Return classes of values with one beginning, the largest divided first: until all are small, or the text is long.

    ``values`` are sorted, so a beginning is a range of them. No class at all means that the text would be too long.
    """
    small = max(1, most // 8)  # eighths pack well
    sums = [0, *accumulate(count for _, count in values)]
    room = REGEX_CHARACTERS
    heap: list[tuple[int, int, int, str]] = [(-sums[-1], 0, len(values), "")]
    done: list[_Class] = []
    while heap:
        negative, first, last, beginning = heappop(heap)
        enough = most if last - first == 1 else small  # one value divides no further than to itself
        singles, ranges = _expand(values, first, last) if -negative > enough else ([], [])
        texts = [
            *(escape_regex(values[row][0]) for row in singles),
            *(escape_regex(text) + ".*" for *_, text in ranges),
        ]
        longer = sum(len(text) + 1 for text in texts)
        if not texts or longer > room:
            if beginning:
                done.append(_Class(escape_regex(beginning) + ".*", None, -negative))
            continue
        room -= longer
        done += [_Class(escape_regex(values[row][0]), *values[row]) for row in singles]
        for inner, end, text in ranges:
            heappush(heap, (sums[inner] - sums[end], inner, end, text))
    return done


def _expand(values: Sequence[tuple[str, int]], first: int, last: int) -> tuple[list[int], list[tuple[int, int, str]]]:
    """Divide a range of values behind what all begin with: the row that is just that, and ranges with one more."""
    common = _find_common(values[first][0], values[last - 1][0])
    singles = [first] if values[first][0] == common else []
    ranges = []
    for character, rows in groupby(range(first + len(singles), last), key=lambda row: values[row][0][len(common)]):
        members = list(rows)
        ranges.append((members[0], members[-1] + 1, common + character))
    return singles, ranges


def _find_common(one: str, other: str) -> str:
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return one[:place]
    return min(one, other, key=len)
