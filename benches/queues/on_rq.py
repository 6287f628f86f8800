"""RQ: `on_rq.py enqueue`, `on_rq.py work`."""

import sys

from redis import Redis
from rq import Queue, SimpleWorker, Worker

import jobs

redis = Redis.from_url(jobs.URL)
queue = Queue(connection=redis)

if sys.argv[1] == "enqueue":
    ttl = 0 if jobs.TUNED else None  # seconds that a result is kept; its default is 500
    many = [Queue.prepare_data(jobs.job, (number,), result_ttl=ttl) for number in range(jobs.JOBS)]
    for start in range(0, jobs.JOBS, 1000):
        queue.enqueue_many(many[start : start + 1000])
elif jobs.TUNED:
    # In its own process, as its documentation says for short jobs, and without a log line a job.
    SimpleWorker([queue], connection=redis, log_job_description=False).work(logging_level="WARNING")
else:
    Worker([queue], connection=redis).work()
