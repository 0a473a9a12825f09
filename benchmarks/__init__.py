"""Speed and size, beside what a user would otherwise take. ``make bench`` runs it."""
