"""Dramatiq. Enqueues when run as a program; the worker is `dramatiq on_dramatiq`."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Retries

import jobs

# Retries are what its delivery rests on; age limit, time limit, callbacks and pipelines are for who uses them.
dramatiq.set_broker(RedisBroker(url=jobs.URL, middleware=[Retries()] if jobs.TUNED else None))


@dramatiq.actor
def noop(number):
    jobs.job(number)


if __name__ == "__main__":
    for number in range(jobs.JOBS):
        noop.send(number)
