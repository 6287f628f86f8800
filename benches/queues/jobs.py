"""The no-op job of the Python peers, and who counts them.

The count is shared with forked children. `bench first` and `bench last` go to standard output with the time of the
monotonic clock, the one that all processes share: the driver (run.py) reads them.
"""

import multiprocessing
import os
import time

JOBS = int(os.environ["QUEUES_JOBS"])
TUNED = os.environ["QUEUES_SETTING"] != "defaults"
URL = os.environ["QUEUES_URL"]

_started = multiprocessing.Value("L", 0)


def job(_number):
    with _started.get_lock():
        _started.value += 1
        count = _started.value
    if count == 1:
        _mark("first")
    if count == JOBS:
        _mark("last")


def _mark(which):
    os.write(1, f"bench {which} {time.monotonic_ns()}\n".encode())
