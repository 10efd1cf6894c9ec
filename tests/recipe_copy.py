"""A recipe directory of its own for a test: run.sh and conf/ copied, code linked, commands run as a user types them."""
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sslspk.launch.processes import running

ROOT = Path(__file__).resolve().parent.parent
VOXCELEB = ROOT / "egs/voxceleb"
LINKS = ("steps", "utils", "local")
# A corpus of seconds: 6 + 4 speakers of two sessions of two utterances. With SMALL, a training step of a fraction of one.
SYNTH = ("--speakers 6 --test-speakers 4 --sessions 2 --utts 2 --seconds 1.2 2.0 --trials 60 --musan-files 2 --rooms 1 --rirs 1 "
         "--voxceleb2-speakers 4")
SMALL = ("train.steps=3", "data.batch_size=8", "data.workers=0", "method.out_dim=64", "train.log_every=1")


def make(folder: Path, name: str = "voxceleb") -> Path:
    """A copy of egs/`name` below `folder`, beside links to the code that it uses; returns the recipe directory."""
    source, recipe = ROOT / "egs" / name, folder / "egs" / name
    recipe.mkdir(parents=True)
    for link in (*LINKS, "tools", "sslspk"):
        if not (folder / link).is_symlink():   # of another recipe beside this one
            (folder / link).symlink_to(ROOT / link)
    for link in LINKS:
        (recipe / link).symlink_to(Path("../..") / link)
    for path in source.glob("*.sh"):
        shutil.copy(path, recipe / path.name)
    if (source / "conf").is_dir():   # egs/transfer runs other recipes
        shutil.copytree(source / "conf", recipe / "conf")
    return recipe


def environment() -> dict[str, str]:
    """That of a user whose python3 is the Python of the tests."""
    changed = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    changed.pop("PYTHONPATH", None)   # path.sh has to find the package
    return changed


def sh(recipe: Path, *words: object, **options) -> subprocess.CompletedProcess:
    """Run a command in the recipe directory."""
    return subprocess.run([str(word) for word in words], cwd=recipe, env=environment(), text=True, capture_output=True,
                          check=False, timeout=900, **options)


WITNESS = """import os, sys

def note(text):
    with open(os.environ["WITNESS"], "a") as file:
        file.write(text + chr(10))

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "torch":
            note("torch in " + " ".join(sys.orig_argv))

sys.meta_path.insert(0, Finder)
note("process " + " ".join(sys.orig_argv))
"""


def run_and_count(recipe: Path, folder: Path, *words: object) -> tuple[str, list[str], list[str]]:
    """A command that must succeed: what it printed, the Python processes that it started, and those that imported torch."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(WITNESS)
    notes = folder / "notes"
    notes.write_text("")
    said = run(recipe, "env", f"PYTHONPATH={folder}", f"WITNESS={notes}", *words)
    lines = notes.read_text().splitlines()
    return said, [line for line in lines if line.startswith("process ")], [line for line in lines if line.startswith("torch ")]


def kill_when(path: Path, recipe: Path, words: Sequence[object]) -> None:
    """Start the command and kill -9 all of its processes as soon as `path` exists."""
    process = subprocess.Popen([str(word) for word in words], cwd=recipe, env=environment(), start_new_session=True,
                               stdout=subprocess.DEVNULL)
    while not path.exists():
        assert process.poll() is None, f"it ended with {process.returncode} before {path}"
        time.sleep(0.02)
    while left := [one.pid for one in running() if one.session == process.pid]:   # scripts have process groups of their own
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def run(recipe: Path, *words: object) -> str:
    """A command that must succeed; returns what it printed."""
    done = sh(recipe, *words)
    assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def overrides(*items: str) -> list[str]:
    """--set for each item."""
    return [word for item in items for word in ("--set", item)]


def snapshot(folder: Path) -> dict[str, str]:
    """md5 of every visible file below a folder that is no log, by path."""
    def counts(path: Path) -> bool:
        parts = path.relative_to(folder).parts
        return path.is_file() and not {"log", "tensorboard"} & set(parts) and not any(part.startswith(".") for part in parts)

    return {str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if counts(path)}
