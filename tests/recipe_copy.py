"""A recipe directory of its own for a test: run.sh and conf/ copied, code linked, commands run as a user types them."""
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VOXCELEB = ROOT / "egs/voxceleb"
LINKS = ("steps", "utils", "local")
# A corpus of seconds: 6 + 4 speakers of two sessions of two utterances. With SMALL, a training step of a fraction of one.
SYNTH = ("--speakers 6 --test-speakers 4 --sessions 2 --utts 2 --seconds 1.2 2.0 --trials 60 --musan-files 2 --rooms 1 --rirs 1 "
         "--voxceleb2-speakers 4")
SMALL = ("train.steps=3", "data.batch_size=8", "data.workers=0", "method.out_dim=64", "train.log_every=1")


def make(folder: Path) -> Path:
    """A copy of egs/voxceleb below `folder`, beside links to the code that it uses; returns the recipe directory."""
    recipe = folder / "egs/voxceleb"
    recipe.mkdir(parents=True)
    for name in (*LINKS, "tools", "sslspk"):
        (folder / name).symlink_to(ROOT / name)
    for name in LINKS:
        (recipe / name).symlink_to(Path("../..") / name)
    for name in (*(path.name for path in VOXCELEB.glob("run*.sh")), "path.sh", "cmd.sh"):
        shutil.copy(VOXCELEB / name, recipe / name)
    shutil.copytree(VOXCELEB / "conf", recipe / "conf")
    return recipe


def sh(recipe: Path, *words: object, **options) -> subprocess.CompletedProcess:
    """Run a command in the recipe directory. Its python3 is the Python of the tests."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)   # path.sh has to find the package
    return subprocess.run([str(word) for word in words], cwd=recipe, env=environment, text=True, capture_output=True,
                          check=False, timeout=900, **options)


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
