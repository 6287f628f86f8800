"""taskiq-redis, its stream broker. Enqueues when run as a program; the worker is `taskiq worker on_taskiq:broker`."""

import asyncio

from taskiq_redis import RedisStreamBroker

import jobs

broker = RedisStreamBroker(url=jobs.URL)


@broker.task
async def noop(number: int) -> None:
    jobs.job(number)


async def enqueue():
    await broker.startup()  # which makes the group
    for start in range(0, jobs.JOBS, 100):
        await asyncio.gather(*(noop.kiq(number) for number in range(start, min(start + 100, jobs.JOBS))))
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(enqueue())
