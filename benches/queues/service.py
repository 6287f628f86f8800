"""Measures how late delayed jobs of bourn come, and fresh jobs beside them: `scripts/bench-queues --service`.

One server without persistence and one worker; `src/bin/service.rs` has the measurements. A job fails once and asks for a
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
        versions, missing = install(["service"], log)
        if missing:
            raise SystemExit(f"service: {missing}")
        folder = Path(os.environ.get("BOURN_SERVERS", ROOT / ".servers")) / arguments.server
        server = Server(folder / "server", TARGET)
        try:
            program = [TARGET / "release" / "service", server.url]
            lines = subprocess.check_output(program, text=True, stderr=log).splitlines()
            version = server.info()[2]
        finally:
            server.process.terminate()
            server.process.wait()
    name = arguments.server.partition("-")[0]
    text = f"{name} {version}, {versions['service']}; milliseconds.\n\n| measurement | median | p99 |\n|---|---|---|\n"
    text += "".join("| " + " | ".join(line.split("\t")) + " |\n" for line in lines)
    print(text, end="")
    if arguments.out:
        arguments.out.write_text(text)
