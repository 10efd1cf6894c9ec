"""Where embeddings, and therefore results, come from: provenance.json in a directory of embeddings.

Its keys are copied to every result: system, weights, trained_on, labels (the labels used; "none" is self-supervised: no speaker label
or session name was read) and commit. For a trained model also method, encoder, config_hash, seed, steps and machine (where it was
trained, with which versions and threads, by which command, in how much CPU time).
"""
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from sslspk.io.files import atomic_write

ROOT = Path(__file__).resolve().parents[2]
COMMAND = re.compile(r"# (.+?) *\n# Started at ")   # as launchers begin a log


def git_commit() -> str:
    """Short hash of the checked-out commit, with '+' if tracked files were changed; 'unknown' outside a git checkout."""
    def git(*args: str) -> subprocess.CompletedProcess:
        return subprocess.run(["git", "-C", str(ROOT), *args], capture_output=True, text=True, check=False)
    try:
        head = git("rev-parse", "--short", "HEAD")
    except FileNotFoundError:
        return "unknown"
    if head.returncode:
        return "unknown"
    return head.stdout.strip() + ("+" if git("status", "--porcelain", "-uno").stdout.strip() else "")


def machine(*packages: str, **more) -> dict:
    """What results depend on besides code and data: processor, cores, Python, versions of these packages; `more` is added.

    The same command gives slightly different figures on another processor, with other wheels, or with another number of threads.
    """
    found = {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()}
    return found | {name: metadata.version(name) for name in packages} | more


def cpuinfo() -> str:
    """What the kernel says of the processors; nothing where it is not Linux."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def processor() -> str:
    """The processor's name according to the kernel."""
    names = re.findall(r"^model name\s*:\s*(.+)$", cpuinfo(), re.MULTILINE)
    return names[0].strip() if names else platform.processor() or platform.machine()


def write(folder: str | os.PathLike, system: str, weights: str, **more) -> None:
    """Write folder/provenance.json. The defaults are for a system without training; `more` replaces them or adds keys."""
    row = {"system": system, "weights": weights, "trained_on": "none", "labels": "none", "commit": git_commit(), **more}
    with atomic_write(Path(folder) / "provenance.json") as f:
        f.write(json.dumps(row, indent=1))


def logged_command(log: Path) -> str:
    """The command at the head of a job's log; "" where there is no such log."""
    if not log.is_file():
        return ""
    with open(log, encoding="utf-8", errors="replace") as file:
        begin = COMMAND.match(file.read(100_000))
    return begin[1] if begin else ""


def commands(program: str, embeddings: str | os.PathLike | None = None) -> dict[str, str]:
    """The commands that a result keeps: scoring, by `program`, which runs now; extraction, where the log of its first job is there.

    They are no part of provenance.json: those of enrolments and tests would differ, and count as of two systems.
    """
    made = logged_command(Path(embeddings, "log/extract.1.log")) if embeddings else ""
    return ({"extraction": made} if made else {}) | {"scoring": shlex.join(["python3", "-m", program, *sys.argv[1:]])}


def corpus(data: str) -> str:
    """The corpus and its part from the name of a training directory (run.sh --speakers, --hours), such as voxceleb2_spk500."""
    name, *rest = data.split("_")
    part = [word for word in rest if re.fullmatch(r"spk\d+|\d[\d.]*h", word)]
    return "_".join(dict.fromkeys([name, *part]))
