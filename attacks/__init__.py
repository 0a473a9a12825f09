"""What an attacker would try on a published release, each tried and measured. ``make attack`` runs all of it.

An attack is a pure function from published bytes, read as a stranger reads them, and from what the attacker is taken to
know, to numbers. Each is also run where it must succeed, on a copy that was weakened on purpose: an attack that never
works proves nothing.
"""
