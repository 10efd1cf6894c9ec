"""A private Slurm for the stage that uses slurm.pl: started when first needed, stopped when the campaign ends."""
import atexit
import getpass
import os
import shutil
import subprocess
from pathlib import Path

from faults.stages import BY_NAME, Stage

TOOLS = Path(__file__).resolve().parents[1] / "cluster"


def missing(name: str) -> str:
    """Why a stage cannot run on this machine; empty if it can."""
    needs = BY_NAME[name].needs
    if not needs or shutil.which(needs, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
        return ""
    return f"{name} is left out: there is no {needs}; tools/cluster/install.sh installs it"


class Cluster:
    """The Slurm of one share; `variables` are the environment with which a stage's command finds it."""

    def __init__(self, folder: Path):
        self.folder, self.up = folder, False

    def variables(self, stage: Stage) -> dict[str, str]:
        if not stage.needs:
            return {}
        if not self.up:
            subprocess.run([TOOLS / "slurm_up.sh", "--cpus", "4", self.folder], check=True, stdout=subprocess.DEVNULL)
            self.up = True
            atexit.register(self.down)
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def clean(self) -> None:
        """Cancel the jobs that a fault has left in the queue."""
        if self.up:
            subprocess.run(["scancel", f"--user={getpass.getuser()}"],
                           env={**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}, check=False, capture_output=True)

    def down(self) -> None:
        if self.up:
            subprocess.run([TOOLS / "slurm_down.sh", self.folder], check=False, stdout=subprocess.DEVNULL)
            self.up = False
