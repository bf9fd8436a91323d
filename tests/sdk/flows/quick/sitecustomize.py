"""Shortens the naps of the SDKs' own polling loops (thirty seconds before the first look), and nothing else.

`time.time` goes on as if they had been slept through: a loop that looks again only when half a minute has gone by on that
clock does so after as many naps as ever.
"""

import time

_sleep, _time = time.sleep, time.time
# The longest nap left. Reason: an endpoint of a test is there within a second.
NAP_S_MAX = 0.1

_skipped_s = 0.0


def sleep(seconds):
    global _skipped_s
    _sleep(min(seconds, NAP_S_MAX))
    _skipped_s += max(seconds - NAP_S_MAX, 0)


time.sleep = sleep
time.time = lambda: _time() + _skipped_s
