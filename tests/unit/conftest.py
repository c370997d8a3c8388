"""How many examples the properties try: few while one works, many when asked.

`HYPOTHESIS_PROFILE=thorough make test-unit` tries a thousand of each.
"""

import os

from hypothesis import settings

# A busy machine makes a slow example, and no wrong one; the time of a test has its own limit.
settings.register_profile("quick", max_examples=25, deadline=None, database=None)
settings.register_profile("thorough", max_examples=1_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
