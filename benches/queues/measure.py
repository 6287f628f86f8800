"""One row, once: a server, the worker of a peer on it, and what both have used."""

import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from rows import HERE

LONGEST = 300  # seconds that a row may take
QUIET = 0.05  # seconds without a write after which all is said
PANICKED = 101  # how a Rust program ends that has found something wrong


class Server:
    """A server of its own on a free port of the loopback, without persistence."""

    def __init__(self, program, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = f"--port {self.port} --bind 127.0.0.1 --appendonly no --dir {folder} --save".split()
        self.process = subprocess.Popen([program, *settings, ""], stdout=subprocess.DEVNULL)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        until = time.monotonic() + 10
        while True:
            try:
                self.connection = socket.create_connection(("127.0.0.1", self.port))
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
        self.replies = self.connection.makefile("rb")

    def ask(self, command):
        self.connection.sendall(command.encode() + b"\r\n")
        line = self.replies.readline()
        return self.replies.read(int(line[1:]) + 2).decode() if line[:1] == b"$" else line.decode()

    def settled(self):
        """Waits until nothing has been written for a moment; returns when the last write was seen, in ns."""
        written, at = None, time.monotonic_ns()
        while time.monotonic_ns() - at < QUIET * 1e9:
            # What has changed since the start, as nothing is ever saved.
            now = self.ask("INFO persistence").partition("rdb_changes_since_last_save:")[2].split("\r\n")[0]
            if now != written:
                written, at = now, time.monotonic_ns()
            time.sleep(0.0005)
        return at

    def info(self):
        """The commands so far, the seconds of CPU, the version."""
        lines = self.ask("INFO everything").split("\r\n")
        info = dict(line.split(":", 1) for line in lines if ":" in line)
        seconds = float(info["used_cpu_user"]) + float(info["used_cpu_sys"])
        return int(info["total_commands_processed"]), seconds, info.get("valkey_version", info["redis_version"])


def cpu(session):
    """Seconds of CPU that the processes of a session, and those that they have waited for, have used."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            if int(stat[3]) == session:
                threads = (process / "task").glob("*/schedstat")
                total += sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9
                total += (int(stat[13]) + int(stat[14])) / os.sysconf("SC_CLK_TCK")
        except (FileNotFoundError, ProcessLookupError):
            continue  # gone in the meantime
    return total


def measure(row, server, log):
    """Does the jobs of a row once: jobs/s; client CPU in µs, commands and server CPU in µs of a job."""
    server.ask("FLUSHALL")
    environment = {"QUEUES_JOBS": str(row.jobs), "QUEUES_SETTING": row.setting, "QUEUES_URL": server.url}
    environment = os.environ | environment | row.environment | {"PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
    there = {"env": environment, "cwd": HERE, "stderr": log}
    subprocess.run(row.enqueue, **there, stdout=log, check=True, timeout=LONGEST)
    commands, seconds, _ = server.info()
    worker = subprocess.Popen(row.work, **there, stdout=subprocess.PIPE, text=True, start_new_session=True)
    watch = threading.Timer(LONGEST, os.killpg, (worker.pid, signal.SIGKILL))
    watch.start()
    marks = []
    try:
        for line in worker.stdout:
            if line.startswith("bench "):
                marks.append(int(line.split()[2]))
                if len(marks) == 2:
                    break
                used = cpu(worker.pid)
        # What is done may still be told to the server.
        end, used_after = server.settled(), cpu(worker.pid)
    finally:
        watch.cancel()
        stop(worker)
    if len(marks) < 2 or worker.returncode == PANICKED:
        raise ValueError("the worker did not come to an end")
    commands_after, seconds_after, _ = server.info()
    return (
        row.jobs / (end - marks[0]) * 1e9,
        (used_after - used) / row.jobs * 1e6,
        (commands_after - commands) / row.jobs,
        (seconds_after - seconds) / row.jobs * 1e6,
    )


def stop(worker):
    """Asks the worker to stop; ends it after ten seconds, and what is left of its children."""
    worker.terminate()
    try:
        worker.wait(10)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # no one is left
    worker.wait()
    worker.stdout.close()
