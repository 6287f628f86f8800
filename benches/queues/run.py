"""Measures the queue of bourn beside its peers: `scripts/bench-queues --help`.

One server without persistence, one worker at a time, the rows in turns. For each row the server is emptied, all jobs
are enqueued, and then the worker is started. It counts jobs in its own process (or in memory that its children
share), and says when the first one starts, by the clock that all processes have in common, and when the last one ends.
Then the driver waits until nothing has been written on the server for 50 ms: the time ends with the last write,
which acknowledges the last job. So neither enqueuing nor starting up is in the figures, and nothing is put off.

| figure | what it is | over which time |
|---|---|---|
| jobs/s | the number of jobs by that time | first job's start to last write |
| client CPU | user and system of the worker, its threads and children, from /proc | first job's start to the end |
| commands | `total_commands_processed` of INFO: what a script calls counts as well | worker's start to its end |
| server CPU | `used_cpu_user` + `used_cpu_sys` of INFO | the same |

The last column is how many times faster bourn is: its fastest row, in the same round; the median of the rounds.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

import service
from install import install
from measure import Server, measure
from rows import JOBS, ROOT, ROWS, TARGET


def main():
    arguments = asked()
    if arguments.service:
        return service.main(arguments)
    rows = [row for row in ROWS if not arguments.only or row.peer in arguments.only]
    TARGET.mkdir(parents=True, exist_ok=True)
    with open(TARGET / "log", "w") as log:
        versions, missing = install(list(dict.fromkeys(row.peer for row in rows)), log)
        rounds = 1 if arguments.quick else arguments.rounds
        folder = Path(os.environ.get("BOURN_SERVERS", ROOT / ".servers")) / arguments.server
        server = Server(folder / "server", TARGET)
        try:
            results = measured(rows, rounds, server, missing, log)
            version = server.info()[2]
        finally:
            server.process.terminate()
            server.process.wait()
    name = arguments.server.partition("-")[0]
    versions = {"server": f"{name} {version}, no persistence, TCP on the loopback"} | versions
    text = table(results, versions, missing, rounds)
    print(text, end="")
    if arguments.out:
        arguments.out.write_text(text)


def asked():
    about = f"Measures the queue of bourn beside its peers: {JOBS:,} jobs that do nothing, one worker process."
    parser = argparse.ArgumentParser(prog="scripts/bench-queues", description=about)
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often; 3, of four minutes each")
    parser.add_argument("--service", action="store_true", help="delayed jobs of bourn, without its peers")
    parser.add_argument("--only", action="append", metavar="PEER", help="only this one; may be repeated")
    parser.add_argument("--server", default="redis-8.10", metavar="LABEL", help="of scripts/servers --list; redis-8.10")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the table is written, besides standard output")
    return parser.parse_args()


def measured(rows, rounds, server, missing, log):
    """The figures of each row, a tuple a round; none for a peer that is missing or fails."""
    results = [(row, []) for row in rows]
    for round_ in range(rounds):
        for row, figures in results:
            if row.peer not in missing:
                print(f"round {round_ + 1} of {rounds}: {row.peer}, {row.setting}", file=sys.stderr, flush=True)
                figures.append(tried(row, server, missing, log))
    # A peer that failed in one round is not compared with those that did not.
    return [(row, [] if row.peer in missing else figures) for row, figures in results]


def tried(row, server, missing, log):
    """The figures of a row, once; up to three tries, for on a busy machine a time limit of a peer may run out."""
    for _ in range(3):
        try:
            return measure(row, server, log)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            print(f"failed: {error}", file=sys.stderr, flush=True)
    missing[row.peer] = f"{row.setting} failed three times; see target/queues/log"
    return None


def table(results, versions, missing, rounds):
    """The results as Markdown."""
    bourn = [figures for row, figures in results if row.peer == "bourn" and figures]
    best = [max(figure[0] for figure in figures) for figures in zip(*bourn)]
    lines = [
        f"Jobs that do nothing, one worker process; rounds in turns: {rounds}. Medians, and the least and most of them;",
        "client and server CPU in µs a job. How it is measured: `benches/queues/run.py`.",
        "",
        "| queue | settings | jobs | jobs/s | least to most | client CPU | commands/job | server CPU | bourn is |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row, figures in results:
        if not figures:
            lines.append(f"| {row.peer} | {row.setting}: {row.says} | **missing** |" + " – |" * 6)
            continue
        rates, *costs = zip(*figures)
        clients, commands, servers = map(statistics.median, costs)
        ratio = statistics.median(map(float.__truediv__, best, rates)) if best else None
        times = "–" if ratio is None else f"{ratio:.1f} ×" if ratio < 100 else f"{ratio:,.0f} ×"
        lines.append(
            f"| {row.peer} | {row.setting}: {row.says} | {row.jobs:,} | {statistics.median(rates):,.0f} "
            f"| {min(rates):,.0f} to {max(rates):,.0f} | {clients:.1f} | {commands:.2f} | {servers:.1f} | {times} |"
        )
    lines += ["", *(f"- {peer}: {version}" for peer, version in versions.items())]
    lines += [f"- {peer}: **missing**, {why}" for peer, why in missing.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
