"""The working folders of a campaign: a copy of the code and of the recipes, and their state before and after each stage.

    OUT/code/   the code when the campaign began                OUT/state/STAGE/{before,after}/   the recipe's files then
    OUT/work/   where the faults happen                         OUT/reference/STAGE.json          what the undisturbed stage did

OUT/work is a disk in memory. Each share of the campaign has its own under the same name, so one undisturbed run serves all shares.
"""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from faults import compare, operations
from faults.cluster import Cluster
from faults.stages import MADE, SHRUNK, WRITTEN, Stage, chain

ROOT = Path(__file__).resolve().parents[2]
CODE = ("sslspk", "steps", "utils", "local", "tools")
RECIPES = ("voxceleb", "iemocap")
DISK = "size=200m"   # of OUT/work and of the campaign's /dev/shm


class Bench:
    """One campaign's folders. `reference[stage]` describes the undisturbed run: its CPU seconds, the digests of its files, which of them
    a second run writes again, and its operations on files."""

    def __init__(self, out: Path, own_disk: bool, part: int = 0):
        """own_disk: this program has private mounts, so that OUT/work can be a small disk to fill up. part: number of the share."""
        self.out, self.part = out.resolve(), part
        self.mounted = own_disk and mount_memory(self.out / "work") and mount_memory(Path("/dev/shm"))
        if not (self.out / "code").is_dir():
            copy_code(self.out / "code.part")
            (self.out / "code.part").rename(self.out / "code")
        shutil.copytree(self.out / "code", self.out / "work", dirs_exist_ok=True, symlinks=True)
        self.cluster = Cluster(self.out / f"cluster{part}")
        self.reference: dict[str, dict] = {}

    def folder(self, stage: Stage) -> Path:
        """The recipe's folder, where its commands run."""
        return self.out / "work/egs" / stage.recipe

    def learn(self, stages: list[str]) -> None:
        """Run these stages, and those before them, undisturbed, unless this was done already; load the references."""
        for stage in dict.fromkeys(stage for name in stages for stage in chain(name)):
            path = self.out / f"reference/{stage.name}.json"
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                found = self._undisturbed(stage)
                path.with_suffix(".part").write_text(json.dumps(found))
                path.with_suffix(".part").rename(path)
                print(f"undisturbed: {stage.name}, {found['cpu']:.1f} CPU seconds, {found['seconds']:.1f} s", flush=True)
            self.reference[stage.name] = json.loads(path.read_text())

    def _undisturbed(self, stage: Stage) -> dict:
        """Run the stage twice: the second run must leave finished files alone."""
        self.clear(stage)
        if stage.after:
            self._bring(self.out / "state" / stage.after / "after", stage)
        self._keep("before", stage)
        trace = self.out / f"reference/{stage.name}.trace"
        first = self._run(stage, self._traced(stage, trace))
        digests = compare.digests(self.folder(stage))
        self._keep("after", stage)
        for pattern in (*stage.reads, *stage.writes):
            if not any(self.folder(stage).glob(pattern)):
                raise SystemExit(f"{pattern} matches nothing after the stage {stage.name}; correct tools/faults/stages.py.")
        before = compare.versions(self.folder(stage))
        second = self._run(stage, {})
        after = compare.versions(self.folder(stage))
        if (changed := compare.digests(self.folder(stage))) != digests:
            raise SystemExit(f"the undisturbed stage {stage.name}, run again, makes other files: {compare.unlike(digests, changed)[:5]}")
        if stage.unfinished:
            for pattern in stage.unfinished:
                for path in list(self.folder(stage).glob(pattern)):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            self._keep("before", stage)
            first = self._run(stage, self._traced(stage, trace))
        return {**first, "digests": digests, "rewritten": sorted(path for path in after if after[path] != before.get(path)),
                "cpu_again": second["cpu"], "operations": operations.read(trace)}

    def _traced(self, stage: Stage, trace: Path) -> dict[str, str]:
        trace.unlink(missing_ok=True)
        return operations.watched(self.out, self.folder(stage), {"TRACE": str(trace)}, self.out / "counts/trace")

    def _run(self, stage: Stage, variables: dict[str, str]) -> dict[str, float]:
        begun = time.monotonic()
        with (self.out / "undisturbed.txt").open("w+") as said:
            around = {**environment(), **self.cluster.variables(stage), **variables}
            popen = subprocess.Popen(stage.words, cwd=self.folder(stage), env=around, stdin=subprocess.DEVNULL, stdout=said,
                                     stderr=subprocess.STDOUT, start_new_session=True)
            try:
                _, status, usage = os.wait4(popen.pid, 0)
            except SystemExit:
                os.killpg(popen.pid, signal.SIGTERM)
                raise
            said.seek(0)
            if status:
                raise SystemExit(f"the undisturbed stage {stage.name} failed:\n{said.read()[-4000:]}")
        return {"seconds": round(time.monotonic() - begun, 1), "cpu": round(usage.ru_utime + usage.ru_stime, 1)}

    def _keep(self, when: str, stage: Stage) -> None:
        """Save the present state as the one before or after the stage."""
        folder = self.out / "state" / stage.name / when
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for made in MADE:
            if (self.folder(stage) / made).exists():
                shutil.copytree(self.folder(stage) / made, folder / made, symlinks=True)

    def clear(self, stage: Stage) -> None:
        for made in MADE:
            shutil.rmtree(self.folder(stage) / made, ignore_errors=True)

    def _bring(self, state: Path, stage: Stage) -> None:
        for made in MADE:
            if (state / made).exists():
                shutil.copytree(state / made, self.folder(stage) / made, symlinks=True)

    def saved(self, stage: Stage, after: bool) -> Path:
        return self.out / "state" / stage.name / ("after" if after else "before")

    def restore(self, stage: Stage, after: bool = False) -> None:
        """Bring back the state before (or after) a stage, times of files included."""
        self.clear(stage)
        self._bring(self.saved(stage, after), stage)

    def differences(self, stage: Stage) -> list[str]:
        """Paths at which the present state differs from that after the undisturbed stage."""
        return compare.unlike(self.reference[stage.name]["digests"], compare.digests(self.folder(stage)))


def environment() -> dict[str, str]:
    """The environment of a user whose python3 is this one."""
    changed = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    changed.pop("PYTHONPATH", None)   # path.sh must find the copied package
    return changed


def mount_memory(folder: Path) -> bool:
    """Mount a small disk in memory at `folder`, which can be filled up; returns whether this user may."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", DISK, "none", str(folder)], capture_output=True, check=False)
    return done.returncode == 0


def code_md5() -> str:
    """The md5 of the code that a campaign copies."""
    digest = hashlib.md5()
    for name in CODE:
        for path in sorted((ROOT / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def copy_code(to: Path) -> None:
    """Copy the code, so that later edits do not change the campaign, and the recipes, with configurations that run in seconds."""
    shutil.rmtree(to, ignore_errors=True)
    skip = shutil.ignore_patterns("__pycache__", "exp*", "data*")
    for name in CODE:
        shutil.copytree(ROOT / name, to / name, symlinks=True, ignore=skip if name != "sslspk" else shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "setup.py", to)   # lists the packages that a recipe needs
    for name in RECIPES:
        shutil.copytree(ROOT / "egs" / name, to / "egs" / name, symlinks=True, ignore=skip)
    for name, changes in SHRUNK.items():
        path = to / f"egs/{name}.yaml"
        text = path.read_text()
        for old, new in changes.items():
            if old not in text:
                raise SystemExit(f"{path}: there is no '{old}' to make smaller; correct tools/faults/stages.py.")
            text = text.replace(old, new)
        path.write_text(text)
    for name, text in WRITTEN.items():
        (to / f"egs/{name}.yaml").write_text(text)
