"""The rows of the table: what is measured, with which settings, and how it is started.

`defaults` is what the first page of a peer's documentation leads to. `tuned` is the fastest that was found among the
settings that its documentation names for speed, with up to 64 jobs at a time, and with nothing given up that keeps
jobs from being lost. Dramatiq is slower with more threads than 8. Celery is a fifth faster with its pool `solo`, which
does one job at a time and so is of no use for jobs that wait for something. BullMQ is slower on node-redis.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "queues"
VENV = TARGET / "venv" / "bin"
JOBS = 20_000


@dataclass
class Row:
    peer: str
    setting: str
    says: str
    enqueue: list
    work: list
    jobs: int = JOBS
    environment: dict = field(default_factory=dict)


def rust(peer, setting, says):
    program = str(TARGET / "release" / peer.partition("-")[0])
    return Row(peer, setting, says, [program, "enqueue"], [program, "work"])


def node(setting, says):
    program = ["node", "on_bullmq.cjs"]
    environment = {"NODE_PATH": str(TARGET / "node_modules"), "NODE_ENV": "production"}
    return Row("bullmq", setting, says, [*program, "enqueue"], [*program, "work"], environment=environment)


def python(peer, setting, says, enqueue, work, **more):
    program = str(VENV / work.split()[0])
    return Row(peer, setting, says, [str(VENV / "python"), *enqueue.split()], [program, *work.split()[1:]], **more)


ROWS = [
    rust("bourn", "defaults", "16 at once"),
    rust("bourn", "tuned", "64 at once, one thread"),
    rust("bourn", "prefetch", "64 at once and 192 fetched ahead, one thread"),
    rust("apalis-redis", "defaults", "batches of 10; locks, results and events"),
    rust("apalis-redis", "tuned", "64 at once, batches of 256, one thread; events off"),
    rust("apalis-redis", "no locks", "the same, locks off too"),
    rust("apalis-redis", "nothing kept", "the same, results off too: no job is acknowledged"),
    node("defaults", "1 at once, completed jobs are kept"),
    node("tuned", "64 at once, completed jobs are removed"),
    python("dramatiq", "defaults", "8 threads", "on_dramatiq.py", "dramatiq on_dramatiq --processes 1"),
    python(
        "dramatiq",
        "tuned",
        "8 threads, no middleware but retries, prefetch 64",
        "on_dramatiq.py",
        "dramatiq on_dramatiq --processes 1 --threads 8",
        environment={"dramatiq_queue_prefetch": "64"},
    ),
    python(
        "taskiq-redis",
        "defaults",
        "stream broker, 100 at once",
        "on_taskiq.py",
        "taskiq worker on_taskiq:broker --workers 1",
    ),
    python(
        "taskiq-redis",
        "tuned",
        "stream broker, 64 at once, no parsing, no log lines",
        "on_taskiq.py",
        "taskiq worker on_taskiq:broker --workers 1 --max-async-tasks 64 --no-parse --log-level WARNING",
    ),
    python(
        "celery",
        "defaults",
        "prefork, a child for each core, prefetch 4",
        "on_celery.py",
        "celery -A on_celery worker",
    ),
    python(
        "celery",
        "tuned",
        "64 threads, prefetch 64 each, no results",
        "on_celery.py",
        "celery -A on_celery worker --pool threads --concurrency 64 --loglevel WARNING"
        " --without-gossip --without-mingle --without-heartbeat",
    ),
    python("rq", "defaults", "a fork for each job", "on_rq.py enqueue", "python on_rq.py work", jobs=500),
    python("rq", "tuned", "no forks, results not kept", "on_rq.py enqueue", "python on_rq.py work", jobs=4_000),
]
