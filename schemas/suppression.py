"""What the private staging store keeps of each release: the words that few shared, which later releases hide, too."""

from schemas.of_release import OfRelease

SUPPRESSION_FORMAT = "1.0"


class SuppressionRecord(OfRelease):
    """``suppressed/<source>/<key_id>/<version>.json``: what a release showed as ``other`` because few shared it.

    Under one key an entity has one token, so a later release that showed such a word would tell it of the earlier one.
    """

    format_version: str = SUPPRESSION_FORMAT
    source: str
    key_id: str
    words: dict[str, tuple[str, ...]]
    """By vocabulary, sorted."""
