"""slurm.pl against pretended sbatch, squeue, scancel, scontrol: for faults that a real Slurm does not do on demand.

Each job of the pretended Slurm is a folder job.ID; squeue prints the file `states`, lines of JOB|PLACE|STATE|REASON.
"""
import os
import subprocess
import sys
from pathlib import Path

from waiting import listen

ROOT = Path(__file__).resolve().parents[2]
SBATCH = """n=$(ls -d {here}/job.* 2> /dev/null | wc -l); n=$((n + 1)); mkdir {here}/job.$n; echo "$@" > {here}/job.$n/words
cp "${{@: -1}}" {here}/job.$n/script; . {here}/on_submit; echo $n"""
PROGRAMS = {"sbatch": SBATCH, "squeue": "echo x >> {here}/asked; cat {here}/states", "scontrol": ":", "sacct": ":",
            "scancel": 'echo "$@" >> {here}/cancelled; : > {here}/states'}


class Pretended:
    """A Slurm of shell scripts."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "states").touch()
        (folder / "on_submit").touch()
        for name, body in PROGRAMS.items():
            self.program(name, body.format(here=folder))

    def program(self, name: str, body: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)

    def start(self, *words: str, **environment: str) -> subprocess.Popen:
        environment = {**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}", "SSLSPK_ASK_SECONDS": "0.2", **environment}
        return subprocess.Popen([sys.executable, ROOT / "utils/slurm.pl", *words], cwd=self.folder, text=True, stderr=subprocess.PIPE,
                                env=environment, preexec_fn=listen)

    def run(self, *words: str, **environment: str) -> tuple[int, str]:
        process = self.start(*words, **environment)
        stderr = process.communicate(timeout=60)[1]
        return process.returncode, stderr

    def says(self, *lines: str) -> None:
        """What squeue tells of the jobs."""
        (self.folder / "new").write_text("".join(f"{line}\n" for line in lines))
        (self.folder / "new").replace(self.folder / "states")

    def run_at_once(self, n: str = "$n") -> str:
        """Bash for on_submit: the first task of this job begins."""
        return f"SLURM_ARRAY_JOB_ID={n} SLURM_ARRAY_TASK_ID=1 bash {self.folder}/job.$n/script > /dev/null 2>&1 < /dev/null &"

    def fails(self, name: str, times: int) -> None:
        """One of the programs does nothing but complain, so many times."""
        works = (self.folder / "bin" / name).read_text()
        self.program(name, f"echo x >> {self.folder}/failed\nif [ $(wc -l < {self.folder}/failed) -le {times} ]; then\n"
                           f"echo {name}: error: busy >&2; exit 1; fi\n{works}")

    def failures(self) -> int:
        """How often a program that `fails` named was called."""
        path = self.folder / "failed"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def on_submit(self, body: str) -> None:
        """Bash that runs at each submission, with $n the id of the job, and may run its script: bash job.$n/script."""
        (self.folder / "on_submit").write_text(body)

    def ended(self, task: int, status: int, caught: str = "-", submission: int = 0) -> None:
        """A task's script has written its status."""
        folder, = (self.folder / "q/sync").glob("*")
        (folder / "status").write_text(f"{status} {caught}\n")
        (folder / "status").replace(folder / f"{task}.status.{submission}")

    def jobs(self) -> int:
        return len(list(self.folder.glob("job.*/script")))

    def cancelled(self) -> list[str]:
        path = self.folder / "cancelled"
        return path.read_text().split() if path.exists() else []
