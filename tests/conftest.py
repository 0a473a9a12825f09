"""What holds for every test."""

from hypothesis import settings

# a busy machine is no reason to fail; pytest's own time limit ends what hangs
settings.register_profile("opscommons", deadline=None, database=None)
settings.load_profile("opscommons")
