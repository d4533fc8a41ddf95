"""What every test runs under: as many threads as the suite allows itself, and no clock."""

from __future__ import annotations

import hypothesis

# A busy machine must not fail a test: how long an example takes says nothing about whether it is right.
hypothesis.settings.register_profile("maskwright", deadline=None)
hypothesis.settings.load_profile("maskwright")
