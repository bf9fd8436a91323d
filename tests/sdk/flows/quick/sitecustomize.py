"""Shortens the naps of the SDKs' own polling loops (thirty seconds before the first look), and nothing else."""

import time

_sleep = time.sleep
# The longest nap left. Reason: an endpoint of a test is there within a second.
NAP_S_MAX = 0.1

time.sleep = lambda seconds: _sleep(min(seconds, NAP_S_MAX))
