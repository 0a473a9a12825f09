"""What an audit finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One kind of problem in one place. It never holds the value that was found."""

    place: str
    code: str
    count: int = 1

    def __str__(self) -> str:
        return f"{self.place}: {self.code} ({self.count})"
