"""Why raw samples are missing: the reasons that a commit and a release may give, and what each means."""

from typing import Final, Literal

SOURCE_DOWN: Final = "source down"
TARGET_DOWN: Final = "target down"
TARGET_ABSENT: Final = "target absent"
SCRAPE_INCOMPLETE: Final = "scrape incomplete"
UNKNOWN_FORM: Final = "in a form that is not known"
NOT_COLLECTED: Final = "not collected"
KEY_DESTROYED: Final = "key destroyed"
SUPPRESSED: Final = "suppressed"

HourReason = Literal["source down", "target down", "target absent", "scrape incomplete", "in a form that is not known"]
"""What the scrapes of an hour and its series tell."""

REASONS: Final = {
    SOURCE_DOWN: "Prometheus itself was off: targets of the metric should have been scraped, and nobody did",
    TARGET_DOWN: "targets of the metric were scraped and did not answer; the hours without series that follow keep it",
    TARGET_ABSENT: "the source scraped, but no target gave this metric",
    SCRAPE_INCOMPLETE: "scrapes succeeded without bringing all series that had been there",
    UNKNOWN_FORM: "series came with native histograms that this version cannot read, or not treat as declared",
    "the source gave no usable answer": "reading the metric failed until the source no longer had the samples",
    "the source said that data are missing": "it warned so with every answer, until it no longer had the samples",
    "the source did not tell who is who in this window": "names of nodes could not be told apart, so nothing was kept",
    NOT_COLLECTED: "no run collected the window, or part of the hour",
    SUPPRESSED: "all samples are there, but a label says `other` where too few share its value: it could point at one",
    "not in schema": "the table's schema of that time did not have the metric",
    KEY_DESTROYED: "the key of that time was destroyed before the window was collected",
    "no series in this window": "nothing came; the window was committed before reasons were told apart (format 1.0)",
}
"""Every reason, with its meaning for people."""
