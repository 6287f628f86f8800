"""Runs a sample, with the names that it leaves to its reader, against the server of a test.

    python run.py SAMPLE [CODE]

SAMPLE is executed as it stands. CODE, if there is any, is executed after it, in the same names.
PORT is the server's port. Each handled entry is a line of output: `handled {fields}`.
"""

import json
import os
import sys
import time

import redis
import redis.connection

PORT = int(os.environ["PORT"])


class RecoverableError(Exception):
    pass


class UnrecoverableError(Exception):
    pass


def at_the_port(kind):
    """Returns a class whose objects connect to the server of the test."""

    class AtThePort(kind):
        def __init__(self, *args, **options):
            if "port" in options:
                options["port"] = PORT
            super().__init__(*args, **options)

    return AtThePort


def process(fields):
    """Handles an order. Its field `for` says who can handle it."""
    error = {"bourn": RuntimeError, "later": RecoverableError, "nobody": UnrecoverableError}
    kind = error.get(fields.get("for"))
    if kind is not None:
        raise kind(f"not by me: {fields}")
    print("handled", json.dumps(fields), flush=True)


def process_messages(messages):
    for stream, entries in messages:
        for id, fields in entries:
            process(fields)
            r.xack(stream, "task-processors", id)


redis.Redis = at_the_port(redis.Redis)
redis.connection.ConnectionPool = at_the_port(redis.connection.ConnectionPool)
r = redis.Redis(host="localhost", port=PORT, decode_responses=True)
names = {
    "__name__": "__main__",
    "redis": redis,
    "time": time,
    "json": json,
    "r": r,
    "consumer_name": "worker-1",
    "message": {"order_id": "ord_124", "customer_id": "cus_456", "total": 99.99},
    "process_order": process,
    "process_message": process,
    "process_messages": process_messages,
    "RecoverableError": RecoverableError,
    "UnrecoverableError": UnrecoverableError,
}
with open(sys.argv[1], encoding="utf-8") as file:
    exec(compile(file.read(), sys.argv[1], "exec"), names)
if len(sys.argv) > 2:
    exec(compile(sys.argv[2], "the test's code", "exec"), names)
