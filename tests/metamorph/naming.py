"""Two namings of one world: every raw identifier has another text, of another length and at another place in order.

Only declared structure is kept: a node's full name, short name and addresses stay those of one node, a host keeps its
port, a ReplicaSet is its Deployment and a hash of Kubernetes' alphabet.
"""

import ipaddress
import re
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from schemas.policy import OTHER
from schemas.registry import read_policy

_HASH_LETTERS: Final = "456789bcdf"
_DNS: Final = string.ascii_lowercase + string.digits
_ALPHABETS: Final = (
    _DNS + "-",
    string.ascii_letters + string.digits + "_-.",
    string.ascii_letters + "\"'{}\\%$.*|()[]^ \n/+=:@",
    "äöüßéİçğñ中文字日本語🙂\u0301abc",
)
_LENGTHS: Final = (1, 2, 3, 4, 4, 5, 6, 8, 11, 17, 40, 120)
_LONG: Final = 4_000  # bytes
_NUMBER: Final = re.compile(r"[-+]?[\deE]*\.?[-+\deE]*|[+-]?inf|nan", re.IGNORECASE)


def _fixed_words() -> frozenset[str]:
    members = (each.members for each in read_policy("default").vocabularies.values())
    return frozenset(word.lower() for each in members for word in each) | {OTHER, ""}


_FIXED: Final = _fixed_words()


@dataclass
class Naming:
    """Gives each thing its text, the same each time. ``seed`` tells namings apart."""

    seed: str
    _given: dict[tuple[object, ...], str] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    def text(self, kind: str, number: int, *, long: bool = False) -> str:
        """Return a name of any kind: short or long, plain or strange."""

        def draw(random: Random) -> str:
            letters = random.choice(_ALPHABETS)
            length = random.choice(_LENGTHS)
            drawn = "".join(random.choices(letters, k=length))
            return drawn + (_LONG - random.randrange(99) - len(drawn.encode())) * random.choice(_DNS) if long else drawn

        return self._give((kind, number), draw)

    def dns(self, kind: str, number: int) -> str:
        """Return one label of a DNS name, with an h so that it is no number."""
        return self._give(
            (kind, number, "dns"),
            lambda random: "h" + "".join(random.choices(_DNS, k=random.choice((1, 2, 4, 9, 23, 50)))) + "o",
        )

    def label(self, number: int) -> str:
        """Return a label name that nobody declared."""
        return self._give(
            ("label", number),
            lambda random: (
                "".join(random.choices("_abyz", k=1) + random.choices(_DNS + "_", k=random.randrange(4, 30))) + "_q"
            ),
        )

    def workload(self, number: int) -> str:
        """Return a name that does not end as a ReplicaSet's would."""
        return self._give(
            ("workload", number), lambda random: "".join(random.choices(_DNS, k=random.randrange(1, 40))) + "e"
        )

    def hash(self, number: int) -> str:
        """Return what the controller of Deployments puts behind a ReplicaSet's name."""
        return self._give(
            ("hash", number), lambda random: "".join(random.choices(_HASH_LETTERS, k=random.randrange(6, 11)))
        )

    def ip4(self, number: int) -> str:
        """Return an address of version 4."""
        return self._give(("ip4", number), lambda random: str(ipaddress.IPv4Address(random.getrandbits(24) | 10 << 24)))

    def ip6(self, number: int) -> str:
        """Return an address of version 6, in its short form."""
        return self._give(
            ("ip6", number),
            lambda random: str(ipaddress.IPv6Address(0xFD << 120 | random.getrandbits(random.choice((8, 30, 100))))),
        )

    def _give(self, key: tuple[object, ...], draw: Callable[[Random], str]) -> str:
        if key not in self._given:
            random = Random(f"{self.seed}/{key}")
            text = draw(random)
            while text in self._used or text.lower() in _FIXED or _NUMBER.fullmatch(text):
                text = draw(random)
            self._used.add(text)
            self._given[key] = text
        return self._given[key]
