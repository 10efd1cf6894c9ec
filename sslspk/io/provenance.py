"""Where embeddings, and so results, come from: provenance.json in a directory of embeddings.

Its keys go to every result: system, weights, trained_on, labels (which labels were used: self-supervised means that nothing
saw a speaker label or a session name), commit and, where a model was trained, method, encoder, config_hash, seed, steps, and machine:
where, with which versions and threads, by which command, in how much CPU time.
"""
import json
import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

from sslspk.io.files import atomic_write

ROOT = Path(__file__).resolve().parents[2]


def git_commit() -> str:
    """Short hash of the checked-out commit, with '+' when tracked files were changed; 'unknown' outside a git checkout."""
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
    """What figures depend on besides code and data: processor, cores, Python, versions of these packages; `more` is added.

    On another processor, with other wheels or another number of threads the same command gives a little other figures.
    """
    found = {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()}
    return found | {name: metadata.version(name) for name in packages} | more


def processor() -> str:
    """The processor's name, as the kernel says it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    names = re.findall(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return names[0].strip() if names else platform.processor() or platform.machine()


def write(folder: str | os.PathLike, system: str, weights: str, **more) -> None:
    """Write folder/provenance.json; `more` replaces or adds to what holds where nothing was trained."""
    row = {"system": system, "weights": weights, "trained_on": "none", "labels": "none", "commit": git_commit(), **more}
    with atomic_write(Path(folder) / "provenance.json") as f:
        f.write(json.dumps(row, indent=1))


def corpus(data: str) -> str:
    """The corpus, and the part of it, that the name of a training directory tells (run.sh --speakers, --hours): voxceleb2_spk500."""
    name, *rest = data.split("_")
    part = [word for word in rest if re.fullmatch(r"spk\d+|\d[\d.]*h", word)]
    return "_".join(dict.fromkeys([name, *part]))
