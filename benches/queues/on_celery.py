"""Celery. Enqueues when run as a program; the worker is `celery -A on_celery worker`."""

from celery import Celery

import jobs

app = Celery("on_celery", broker=jobs.URL)
app.conf.broker_connection_retry_on_startup = True
if jobs.TUNED:
    # What "Optimizing" and "Tasks" of its guide name: no results, prefetch for short tasks, publishers' pool.
    app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=64, broker_pool_limit=None)


@app.task
def noop(number):
    jobs.job(number)


if __name__ == "__main__":
    for number in range(jobs.JOBS):
        noop.delay(number)
