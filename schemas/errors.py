"""Every error that a user may meet, with its exit code.

PublisherError              1   something unexpected
├── UsageError              2   a command or the configuration asks for what cannot be
├── SourceError             3   Prometheus did not give a usable answer
│   └── PartialResult       4   ... it answered, but data are missing
├── PrivacyError            5   a key, a policy or an audit forbids to go on
├── StoreError              6   the store refused or lost something
├── CommitConflict          7   another run committed the same window first
└── DeadlineReached         8   time is up; what was committed is kept

A message is one line: what was found, what was wanted, what to do. It names labels, never their values.
"""

from typing import ClassVar


class PublisherError(Exception):
    """The root of all errors that this project raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(PublisherError):
    """A command or the configuration asks for what cannot be."""

    exit_code = 2


class SourceError(PublisherError):
    """Prometheus did not give a usable answer."""

    exit_code = 3


class PartialResult(SourceError):
    """Prometheus answered, but said that data are missing."""

    exit_code = 4


class PrivacyError(PublisherError):
    """A key, a policy or an audit forbids to go on."""

    exit_code = 5


class StoreError(PublisherError):
    """The store refused or lost something."""

    exit_code = 6


class CommitConflict(PublisherError):
    """Another run committed the same window first."""

    exit_code = 7


class DeadlineReached(PublisherError):
    """Time is up; what was committed is kept."""

    exit_code = 8
