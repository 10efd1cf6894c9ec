"""The place where a campaign works: a copy of the code and of the recipe, and its state before and after each stage.

    OUT/code/   the code as it was when the campaign began      OUT/state/STAGE/    what the recipe had made before that stage
    OUT/work/   where things are broken                         OUT/reference.json  digests and duration of each stage, undisturbed
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from faults.stages import SHRUNK, STAGES, WRITTEN

ROOT = Path(__file__).resolve().parents[2]
MADE = ("data_mini", "exp_mini")   # what the recipe makes, below its folder
CODE = ("sslspk", "steps", "utils", "local", "tools")
LOGS = {"log", "tensorboard", "progress.jsonl"}
NAMES = (*(stage.name for stage in STAGES), "end")
LIMIT = 300                        # seconds after which a command hangs


class Bench:
    """One campaign's folders. `recipe` is where commands run; `reference[stage]` is {"seconds", "digests"} of the undisturbed run."""

    def __init__(self, out: Path, until: str = STAGES[-1].name, own_disk: bool = False):
        """until: the last stage that is run. own_disk: this program has mounts of its own, and may give the work a disk to be filled."""
        self.out = out.resolve()
        self.recipe = self.out / "work/egs/voxceleb"
        self.mounted = own_disk and mount_memory(self.out / "work")
        if not (self.out / "code").is_dir():
            copy_code(self.out / "code.part")
            (self.out / "code.part").rename(self.out / "code")
        shutil.copytree(self.out / "code", self.out / "work", dirs_exist_ok=True, symlinks=True)
        self.reference = self._read_reference(until)

    def _read_reference(self, until: str) -> dict:
        path = self.out / "reference.json"
        if not path.exists():
            reference: dict = {}
            for stage in STAGES[:NAMES.index(until) + 1]:
                self.keep(stage.name)
                begun = time.time()
                done = subprocess.run(stage.words, cwd=self.recipe, env=environment(), text=True, capture_output=True, check=False)
                if done.returncode:
                    raise SystemExit(f"the undisturbed stage {stage.name} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
                reference[stage.name] = {"seconds": round(time.time() - begun, 1), "digests": self.digests()}
                print(f"undisturbed: {stage.name} {reference[stage.name]['seconds']:.1f} s", flush=True)
            self.keep(NAMES[NAMES.index(until) + 1])
            path.write_text(json.dumps(reference))
        return json.loads(path.read_text())

    def keep(self, name: str) -> None:
        """Save the present state as that before the stage `name`."""
        folder = self.out / "state" / name
        shutil.rmtree(folder, ignore_errors=True)
        for made in MADE:
            if (self.recipe / made).exists():
                shutil.copytree(self.recipe / made, folder / made, symlinks=True)

    def saved(self, stage: str, after: bool) -> Path:
        return self.out / "state" / NAMES[NAMES.index(stage) + after]

    def restore(self, stage: str, after: bool = False) -> None:
        """Bring back the state before (or after) a stage, times of files included."""
        for made in MADE:
            shutil.rmtree(self.recipe / made, ignore_errors=True)
            if (self.saved(stage, after) / made).exists():
                shutil.copytree(self.saved(stage, after) / made, self.recipe / made, symlinks=True)

    def digests(self) -> dict[str, str]:
        """md5 of each visible file that the recipe has made, by path; but for logs and the shares of jobs (splitN), which are scratch."""
        found = {}
        for made in MADE:
            for path in sorted((self.recipe / made).rglob("*")):
                parts = path.relative_to(self.recipe).parts
                if path.is_file() and not LOGS & set(parts) and not any(part.startswith((".", "split")) for part in parts):
                    found["/".join(parts)] = tensors_md5(path) if path.parent.name == "ckpt" else hashlib.md5(path.read_bytes()).hexdigest()
        return found

    def differences(self, stage: str) -> list[str]:
        """Paths at which the present state is not that after the undisturbed stage."""
        wanted, found = self.reference[stage]["digests"], self.digests()
        return sorted(path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))


def tensors_md5(checkpoint: Path) -> str:
    """That of the numbers in a checkpoint: how its names are packed depends on which of them Python holds twice."""
    digest = hashlib.md5()
    with zipfile.ZipFile(checkpoint) as archive:
        for name in archive.namelist():
            if "/data/" in name:
                digest.update(archive.read(name))
    return digest.hexdigest()


def environment() -> dict[str, str]:
    """That of a user whose python3 is this one."""
    changed = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    changed.pop("PYTHONPATH", None)   # path.sh has to find the copied package
    return changed


def mount_memory(folder: Path) -> bool:
    """Give `folder` a small disk of its own in memory, which can be filled up; whether this user may."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.path.ismount(folder):
        return True
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "none", str(folder)], capture_output=True, check=False)
    return done.returncode == 0


def code_md5() -> str:
    """That of the code which a campaign copies."""
    digest = hashlib.md5()
    for name in CODE:
        for path in sorted((ROOT / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def copy_code(to: Path) -> None:
    """The code, so that what is edited meanwhile does not change the campaign; the recipe with configurations of seconds."""
    shutil.rmtree(to, ignore_errors=True)
    skip = shutil.ignore_patterns("__pycache__", "exp*", "data*")
    for name in CODE:
        shutil.copytree(ROOT / name, to / name, symlinks=True, ignore=skip if name != "sslspk" else shutil.ignore_patterns("__pycache__"))
    recipe = to / "egs/voxceleb"
    shutil.copytree(ROOT / "egs/voxceleb", recipe, symlinks=True, ignore=skip)
    for name, changes in SHRUNK.items():
        path = recipe / f"conf/mini/{name}.yaml"
        text = path.read_text()
        for old, new in changes.items():
            if old not in text:
                raise SystemExit(f"{path}: there is no '{old}' to make smaller; correct tools/faults/stages.py.")
            text = text.replace(old, new)
        path.write_text(text)
    for name, text in WRITTEN.items():
        (recipe / f"conf/mini/{name}.yaml").write_text(text)
