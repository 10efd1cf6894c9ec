"""A private batch system that is up for tests, and its launcher."""
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from waiting import listen

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools/cluster"
INSTALLED = {"slurm": shutil.which("slurmctld", path=f"{os.environ['PATH']}:/usr/sbin"),
             "gridengine": shutil.which("/usr/lib/gridengine/sge_qmaster")}


@dataclass(frozen=True)
class System:
    """A batch system that is up, and its launcher."""
    name: str
    environment: dict[str, str]

    @property
    def program(self) -> Path:
        return ROOT / "utils" / ("slurm.pl" if self.name == "slurm" else "queue.pl")

    @property
    def title(self) -> str:
        return "Slurm" if self.name == "slurm" else "Grid Engine"

    def changed(self, environment: dict[str, str]) -> dict[str, str]:
        """PATH of the tests' Python; the batch system is asked each second."""
        path = f"{Path(sys.executable).parent}:{self.environment['PATH']}"
        return {**self.environment, "PATH": path, "SSLSPK_ASK_SECONDS": "1", **environment}

    def run(self, folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
        """The launcher, until it ends."""
        return subprocess.run([sys.executable, self.program, *words], cwd=folder, text=True, capture_output=True, timeout=200,
                              env=self.changed(environment))

    def start(self, folder: Path, *words: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, self.program, *words], cwd=folder, text=True, stderr=subprocess.PIPE,
                                env=self.changed(environment), preexec_fn=listen)

    def call(self, *words: str) -> str:
        """A command of the batch system."""
        return subprocess.run(words, text=True, capture_output=True, check=False, env=self.environment, timeout=60).stdout

    def jobs(self) -> list[str]:
        """Ids of the jobs that wait or run."""
        if self.name == "slurm":
            return self.call("squeue", "-h", "-o", "%F").split()
        return [line.split()[0] for line in self.call("qstat", "-u", "*").splitlines()[2:]]

    def cancel(self, job: str, task: int | None = None) -> None:
        if self.name == "slurm":
            self.call("scancel", f"{job}_{task}" if task else job)
        else:
            self.call("qdel", job, *(["-t", str(task)] if task else []))

    def description(self, job: str) -> str:
        """What a job asked for."""
        return self.call(*(["scontrol", "show", "job", job] if self.name == "slurm" else ["qstat", "-j", job]))


def bring_up(name: str, folder: Path, *options: str) -> System:
    if not INSTALLED[name]:
        pytest.skip(f"no {name} is installed here; tools/cluster/install.sh does it")
    subprocess.run([TOOLS / f"{name}_up.sh", *options, folder], check=True, timeout=200)
    exported = subprocess.run(["bash", "-c", '. "$0"/env.sh; env -0', folder], text=True, capture_output=True, check=True).stdout
    return System(name, dict(item.split("=", 1) for item in exported.split("\0") if item))


def take_down(name: str, folder: Path) -> None:
    subprocess.run([TOOLS / f"{name}_down.sh", folder], check=True, timeout=200)
