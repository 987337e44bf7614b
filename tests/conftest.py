from __future__ import annotations

from hypothesis import settings

# A busy machine is no failure, and neither is the first call that imports a library.
settings.register_profile("checks", deadline=None)
settings.load_profile("checks")
