"""Compares builds of the program `bourn` of this folder: `python3 builds.py SERVER [--rounds N] NAME=PATH...`.

SERVER is the program of a server. Each PATH is a build, of this revision or another: `cargo build --release --bin bourn`.

With --rounds, the builds do the jobs of each row in turns, N times: the median of jobs/s and of the client's CPU in µs a job,
and the median of the ratio to the first build in the same round.

Without it, the instructions of a job under callgrind: the difference of a run of 5,000 jobs and one of 1,000, by the jobs
between. They do not depend on other load, but a little on how many jobs a command carries. valgrind is needed.
"""

import os
import re
import signal
import subprocess
import sys
from statistics import median

from measure import Server, measure
from rows import Row

SETTINGS = ["defaults", "tuned", "prefetch"]
FEW, MANY = 1_000, 5_000


def collected(build, server, setting, jobs):
    """The instructions of a worker that runs these jobs."""
    server.ask("FLUSHALL")
    environment = os.environ | {"QUEUES_JOBS": str(jobs), "QUEUES_SETTING": setting, "QUEUES_URL": server.url}
    subprocess.run([build, "enqueue"], env=environment, check=True)
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", build, "work"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    worker = subprocess.Popen(command, env=environment, **pipes)
    marks = 0
    for line in worker.stdout:
        marks += line.startswith("bench ")
        if marks == 2:
            break
    server.settled()
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate()
    found = re.search(r"Collected *: *(\d+)", said)
    if worker.returncode != 0 or found is None:
        raise ValueError(said)
    return int(found[1])


def instructions(server, builds):
    print("| settings |", " | ".join(name for name, _ in builds), "|")
    print("|---|" + "---|" * len(builds))
    for setting in SETTINGS:
        counts = []
        for _, build in builds:
            few, many = (collected(build, server, setting, jobs) for jobs in (FEW, MANY))
            counts.append(f"{round((many - few) / (MANY - FEW)):,}")
        print(f"| {setting} |", " | ".join(counts), "|")


def rounds(server, builds, times):
    results = {(setting, name): [] for setting in SETTINGS for name, _ in builds}
    for _ in range(times):
        for setting in SETTINGS:
            for name, build in builds:
                row = Row("bourn", setting, "", [build, "enqueue"], [build, "work"])
                results[setting, name].append(measure(row, server, sys.stderr)[:2])
    print("| settings | build | jobs/s | ratio | client CPU | ratio |")
    print("|---|---|---|---|---|---|")
    for (setting, name), runs in results.items():
        first = results[setting, builds[0][0]]
        rate, cpu = (median(run[n] for run in runs) for n in (0, 1))
        ratios = [median(run[n] / other[n] for run, other in zip(runs, first)) for n in (0, 1)]
        print(f"| {setting} | {name} | {rate:,.0f} | {ratios[0]:.2f} | {cpu:.1f} | {ratios[1]:.2f} |")


def main(program, *arguments):
    times = None
    if arguments[0] == "--rounds":
        times, arguments = int(arguments[1]), arguments[2:]
    builds = [tuple(build.split("=", 1)) for build in arguments]
    server = Server(program, "/tmp")
    try:
        rounds(server, builds, times) if times else instructions(server, builds)
    finally:
        server.process.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:])
