"""Measures how late delayed jobs of bourn come, and what producers and idle workers cost: `scripts/bench-queues --service`.

One server without persistence. `src/bin/scale.rs` has the measurements of producers, of a distant server, and of 1 to 1,000
idle workers; it prints a table of its own. `src/bin/service.rs` has those of delays, with one worker. A job fails once and asks for a
delay; its lateness is the time from the end of the delay until its handler runs again. Another 100,000 jobs are pending
for another consumer, or wait for an hour. The latency of a fresh job is the time from its enqueue until its handler runs.
"""

import os
import subprocess
from pathlib import Path

from install import install
from measure import Server
from rows import ROOT, TARGET


def main(arguments):
    TARGET.mkdir(parents=True, exist_ok=True)
    with open(TARGET / "log", "w") as log:
        versions, missing = install(["service", "scale"], log)
        if missing:
            raise SystemExit(f"service: {missing}")
        folder = Path(os.environ.get("BOURN_SERVERS", ROOT / ".servers")) / arguments.server
        server = Server(folder / "server", TARGET)
        try:
            program = [TARGET / "release" / "service", server.url]
            lines = subprocess.check_output(program, text=True, stderr=log).splitlines()
            program = [TARGET / "release" / "scale", server.url]
            scale = subprocess.check_output(program, text=True, stderr=log)
            version = server.info()[2]
        finally:
            server.process.terminate()
            server.process.wait()
    name = arguments.server.partition("-")[0]
    text = f"{name} {version}, {versions['service']}; milliseconds.\n\n| measurement | median | p99 |\n|---|---|---|\n"
    text += "".join("| " + " | ".join(line.split("\t")) + " |\n" for line in lines)
    columns = max(len(line.split("\t")) for line in scale.splitlines())
    text += "\n| measurement |" + " |" * (columns - 1) + "\n|" + "---|" * columns + "\n"
    for line in scale.splitlines():
        cells = line.split("\t")
        text += "| " + " | ".join(cells + [""] * (columns - len(cells))) + " |\n"
    print(text, end="")
    if arguments.out:
        arguments.out.write_text(text)
