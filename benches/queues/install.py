"""Installs the peers under target/queues, at the versions that are pinned here."""

import json
import re
import shutil
import subprocess
import sys
import venv

from rows import HERE, TARGET, VENV

# What pip is asked for; hiredis and uvloop are what redis-py and taskiq name for speed.
PYTHON = {
    "celery": ["celery[redis]", "hiredis"],
    "dramatiq": ["dramatiq[redis]", "hiredis"],
    "rq": ["rq", "hiredis"],
    "taskiq-redis": ["taskiq-redis", "hiredis", "uvloop"],
}


def install(peers, log):
    """The versions of the peers, and of those that could not be had why."""
    TARGET.mkdir(parents=True, exist_ok=True)
    versions, missing = {}, {}
    for peer in peers:
        print(f"installing {peer}", file=sys.stderr, flush=True)
        how = _python if peer in PYTHON else _node if peer == "bullmq" else _rust
        try:
            versions[peer] = how(peer, log)
        except (subprocess.CalledProcessError, OSError) as error:
            missing[peer] = f"{type(error).__name__}; see target/queues/log"
    return versions, missing


def _run(log, *command, **more):
    subprocess.run([str(part) for part in command], stdout=log, stderr=log, check=True, **more)


def _python(peer, log):
    if not VENV.exists():
        venv.create(VENV.parent, with_pip=True)
    pinned = HERE / "requirements.txt"
    _run(log, VENV / "pip", "--disable-pip-version-check", "install", "--constraint", pinned, *PYTHON[peer])
    lines = re.findall(rf"^((?:{peer}|redis)==\S+)", pinned.read_text(), re.MULTILINE)
    return ", ".join(line.replace("==", " ") for line in lines) + f", Python {sys.version.split()[0]}"


def _node(peer, log):
    # Both pin what they need to one version themselves.
    shutil.copy(HERE / "package.json", TARGET)
    _run(log, "npm", "install", "--no-package-lock", "--no-audit", "--no-fund", cwd=TARGET)
    pinned = json.loads((HERE / "package.json").read_text())["dependencies"]
    node = subprocess.check_output(["node", "--version"], text=True).strip().lstrip("v")
    return ", ".join(f"{name} {version}" for name, version in pinned.items()) + f", Node.js {node}"


def _rust(peer, log):
    program = peer.partition("-")[0]
    # Not --locked: what bourn itself comes to need may be added to the lock file.
    _run(log, "cargo", "build", "--release", "--bin", program, "--target-dir", TARGET, cwd=HERE)
    names = "bourn" if peer in ("bourn", "scale", "service") else f"{peer}|redis"
    found = re.findall(rf'^name = "({names})"\nversion = "(\S+)"', (HERE / "Cargo.lock").read_text(), re.MULTILINE)
    rustc = subprocess.check_output(["rustc", "--version"], text=True).split()[1]
    return ", ".join(f"{name} {version}" for name, version in found) + f", rustc {rustc}"
