"""Find the tokens of a raw value, for a request to take something down. Works while the key lives, and only then.

The value comes sealed and never shows: not in a result, not in an error. What the identity frame of a window would
have told (which node a short name or an address is) nobody knows here, so a node is looked up by its full name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from anonymize.identity import canonical_host, canonical_workload
from anonymize.keys import PseudonymKey
from anonymize.pseudonyms import Pseudonymizer
from schemas.errors import UsageError
from schemas.policy import Domain, Policy
from schemas.raw import Raw, open_raw

MEANT: Final = {
    "itself": "the value as it is",
    "node": "if the cluster knows it as a node",
    "stranger": "if the cluster does not know it",
    "deployment": "if it is a ReplicaSet: the Deployment that made it",
    "public": "published in clear, as a word of a public list",
}
"""Which of its possible readings a value has; only the window tells which one holds."""


@dataclass(frozen=True, slots=True)
class Found:
    """What stands for a value in what was published under one key. ``reading`` is a key of ``MEANT``."""

    key_id: str
    published: str
    reading: str


def list_fields(policy: Policy, domain: str) -> tuple[str, ...]:
    """Return what a look-up in a domain needs, in order: its scope, then the domain itself.

    Raise ``UsageError`` for a domain that the policy does not have.
    """
    if domain not in policy.domains:
        raise UsageError(f"the policy has no domain {domain!r}; it has {', '.join(policy.domains)}")
    return (*policy.domains[domain].scope, domain)


def look_up(
    policy: Policy, key: PseudonymKey, *, source: str, domain: str, values: Raw[Sequence[str]], cluster: bool = True
) -> tuple[Found, ...]:
    """Return every token that the last of ``values`` may have under ``key``; the others are its scope.

    ``values`` follow ``list_fields``; an empty scope is one that the series did not have. ``cluster`` says whether
    the source tells who its nodes are. Raise ``UsageError`` for another number of values, or an empty last one.
    """
    fields = list_fields(policy, domain)
    if len(values) != len(fields):
        raise UsageError(f"a look-up in domain {domain} takes {' and '.join(fields)}; found {len(values)} values")
    given = open_raw(values)
    if not given[-1]:
        raise UsageError(f"found an empty {domain}; wanted a value to look up")
    pseudonymizer = Pseudonymizer(key)
    scope = [_canonical(policy.domains[name], value) for name, value in zip(fields, given, strict=False)]
    found = {
        Found(key.key_id, published, reading): None
        for reading, published in _read(policy, pseudonymizer, (source, *scope[:-1]), domain, given[-1], cluster)
    }
    return tuple(found)


def _read(
    policy: Policy, made: Pseudonymizer, scope: Sequence[str | None], name: str, value: str, cluster: bool
) -> Iterator[tuple[str, str]]:
    domain = policy.domains[name]
    canonical = _canonical(domain, value)
    if canonical is None:
        return
    public = policy.vocabularies[domain.public].members.get(canonical) if domain.public else None
    if public is not None:
        yield "public", public
    elif domain.unmatched and cluster:
        yield "node", made.token(domain.prefix, name, (*scope, canonical))
        yield "stranger", made.token(policy.domains[domain.unmatched].prefix, domain.unmatched, (*scope, canonical))
    else:
        yield "itself", made.token(domain.prefix, name, (*scope, canonical))
    if domain.canonical == "workload" and (made_by := canonical_workload(canonical, "ReplicaSet")) != canonical:
        yield "deployment", made.token(domain.prefix, name, (*scope, made_by))


def _canonical(domain: Domain, value: str) -> str | None:
    return (canonical_host(value) if domain.canonical == "host" else value) or None
