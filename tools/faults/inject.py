"""The faults themselves: what is done to the files of the recipe, and to the processes of a command that runs."""
import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
from pathlib import Path

from faults import processes
from faults.bench import MADE, Bench
from faults.plan import Fault, starts_after
from faults.processes import Command
from faults.stages import BY_NAME

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "terminate": signal.SIGTERM, "interrupt": signal.SIGINT}
BALLAST = "ballast"


class Missed(Exception):
    """The command ended before the fault came, or as if it had not come."""


def damage(bench: Bench, fault: Fault) -> Path:
    """Cut, blank or remove one file that the pattern matches; returns it, relative to the recipe."""
    found = sorted(bench.recipe.glob(fault.path))
    if not found:
        raise SystemExit(f"fault {fault.number}: {fault.path} matches nothing; correct tools/faults/stages.py.")
    path = random.Random(fault.seed).choice(found)
    how = fault.kind.split()[0]
    if how == "lost":
        path.unlink()
    elif how == "cut":
        os.truncate(path, path.stat().st_size * 6 // 10)
    else:
        with path.open("r+b") as file:
            file.write(bytes(min(256, path.stat().st_size)))
    return path.relative_to(bench.recipe)


def mend(bench: Bench, fault: Fault, path: Path) -> None:
    """Put the undisturbed file back, its time included."""
    (bench.recipe / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(bench.saved(fault.stage, starts_after(fault)) / path, bench.recipe / path, follow_symlinks=False)


def before(bench: Bench, fault: Fault) -> None:
    """The faults that lie there when the command starts, but for damaged files."""
    rng = random.Random(fault.seed)
    exps = {"train": "exp_mini/simclr_tdnn", "ranks": "exp_mini/two_ranks", "rounds": "exp_mini/simclr_tdnn_round1"}
    if fault.kind.endswith(("checkpoint", "checkpoints")):
        exp = bench.recipe / exps[fault.stage]
        paths = sorted((exp / "ckpt").glob("step-*.pt"))
        if fault.kind == "lost checkpoints":
            shutil.rmtree(exp / "ckpt")
        else:
            (exp / "final.pt").unlink()
            os.truncate(paths[-1], int(paths[-1].stat().st_size * rng.uniform(0, 0.99)))
            for place, path in enumerate(paths):   # and the clock says otherwise
                os.utime(path, (2e9 - place, 2e9 - place))
    elif fault.kind == "leftovers":
        end = bench.saved(fault.stage, after=True)
        for made in (path.relative_to(end) for pattern in BY_NAME[fault.stage].writes for path in sorted(end.glob(pattern))):
            path = bench.recipe / made
            path.parent.mkdir(parents=True, exist_ok=True)
            (path if path.suffix == ".ark" else path.with_name(f".{path.name}.0123456789ab.tmp")).write_bytes(rng.randbytes(300))
    elif fault.kind == "clock":
        for made in MADE:
            for path in (bench.recipe / made).rglob("*"):
                if path.is_file() and not path.is_symlink():
                    os.utime(path, (2e9, 2e9 + rng.random()))


def during(bench: Bench, fault: Fault, command: Command) -> list[Command]:
    """Wait for the moment, then disturb the command; returns further commands that were started. Raises Missed."""
    moment = fault.moment * bench.reference[fault.stage]["seconds"]
    if processes.wait(lambda: command.popen.poll() is not None, moment):
        raise Missed
    how, _, whom = fault.kind.partition(" ")
    if fault.kind == "twice":
        return [processes.start(bench, BY_NAME[fault.stage].words, command.mark + "-twin")]
    if fault.kind == "full disk":
        fill(bench, fault.room)
    elif fault.kind == "read-only":
        read_only(bench, fault, True)
    elif fault.kind == "kill all":
        processes.kill_all(command.mark)
    elif whom == "group":
        os.killpg(command.popen.pid, SIGNALS[how])
    elif whom == "run.sh":
        os.kill(command.popen.pid, SIGNALS[how])
    else:
        found: list = []
        processes.wait(lambda: found.extend(processes.of_role(whom, command.mark)) or found or command.popen.poll() is not None, 60)
        if not found:
            raise Missed
        processes.send(SIGNALS[how], [random.Random(fault.seed).choice(found)])
    return []


def limits(bench: Bench, fault: Fault) -> dict:
    """How the command of a fault is started: where no disk of our own can be filled, a limit on the size of a file stands for it."""
    if fault.kind != "full disk" or bench.mounted:
        return {}
    most = (1 + fault.room // 2) * 1024
    return {"limit": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))}


def fill(bench: Bench, room: int) -> None:
    """Leave `room` KiB on the bench's disk."""
    if bench.mounted:
        free = shutil.disk_usage(bench.recipe).free - room * 1024
        with contextlib.suppress(OSError), (bench.out / "work" / BALLAST).open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(free, 1))


def read_only(bench: Bench, fault: Fault, on: bool) -> None:
    """Make what the stage writes to unwritable, or writable again."""
    folder = bench.recipe / BY_NAME[fault.stage].writes_to
    folder.mkdir(exist_ok=True)
    if bench.mounted and on:
        subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
        remount = ["mount", "-o", "remount,bind,ro", str(folder)]
        if not processes.wait(lambda: subprocess.run(remount, check=False, capture_output=True).returncode == 0, 10):   # a file is open
            raise Missed
    elif bench.mounted:
        while os.path.ismount(folder) or str(folder) in Path("/proc/self/mounts").read_text():
            subprocess.run(["umount", "-l", str(folder)], check=True)
    else:
        for path in [folder, *filter(Path.is_dir, folder.rglob("*"))]:
            path.chmod(0o555 if on else 0o755)


def clean(bench: Bench, fault: Fault) -> None:
    """Take the fault away as a user would who has read the message."""
    (bench.out / "work" / BALLAST).unlink(missing_ok=True)
    if fault.kind == "read-only":
        read_only(bench, fault, False)
