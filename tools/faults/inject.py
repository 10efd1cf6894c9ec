"""The faults themselves: damage to the recipe's files, and signals and limits for the processes of a running command."""
import contextlib
import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
from pathlib import Path

from faults import operations, processes
from faults.bench import Bench
from faults.plan import Fault, starts_after
from faults.processes import Command
from faults.stages import BY_NAME, MADE

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "terminate": signal.SIGTERM, "interrupt": signal.SIGINT}
BALLAST = "ballast"
SHM = Path("/dev/shm")


class Missed(Exception):
    """The command ended before the fault came, or did not notice it."""


def spoil(path: Path, how: str, rng: random.Random) -> None:
    """Cut a file, or put zeros at its beginning; "flip" (one bit) and "hole" (zeros inside) keep its size and time."""
    stat = path.stat()
    if how == "cut":
        os.truncate(path, stat.st_size * 6 // 10)
        return
    begin = 0 if how == "blank" else rng.randrange(max(stat.st_size, 1))
    with path.open("r+b") as file:
        file.seek(begin)
        there = file.read(min(256, stat.st_size - begin))
        file.seek(begin)
        file.write(bytes([there[0] ^ 1 << rng.randrange(8)]) if how == "flip" and there else bytes(len(there)))
    if how in ("flip", "hole"):
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def damage(bench: Bench, fault: Fault) -> Path:
    """Spoil or remove one file that the fault's pattern matches; returns its path, relative to the recipe."""
    folder = bench.folder(BY_NAME[fault.stage])
    found = sorted(folder.glob(fault.path))
    if not found:
        raise SystemExit(f"fault {fault.number}: {fault.path} matches nothing; correct tools/faults/stages.py.")
    rng = random.Random(fault.seed)
    path = rng.choice(found)
    how = fault.kind.split()[0]
    if how == "lost":
        path.unlink()
    else:
        spoil(path, how, rng)
    return path.relative_to(folder)


def mend(bench: Bench, fault: Fault, path: Path) -> None:
    """Restore the undisturbed file, including its time."""
    stage = BY_NAME[fault.stage]
    target = bench.folder(stage) / path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(bench.saved(stage, starts_after(fault)) / path, target, follow_symlinks=False)


def before(bench: Bench, fault: Fault) -> None:
    """Inject the faults that exist before the command starts, except damaged inputs and outputs."""
    rng, stage = random.Random(fault.seed), BY_NAME[fault.stage]
    folder = bench.folder(stage)
    if fault.kind == "lost checkpoints":
        shutil.rmtree(folder / stage.exp / "ckpt")
    elif fault.kind.endswith(("checkpoint", "log")):
        paths = sorted((folder / stage.exp / "ckpt").glob("step-*.pt"))
        (folder / stage.exp / "final.pt").unlink()
        if fault.kind == "flip log":
            spoil(folder / stage.exp / "progress.jsonl", rng.choice(("flip", "hole", "cut")), rng)
            for path in paths[len(paths) // 2:]:   # leave some work to do
                path.unlink()
            return
        spoil(paths[-1], fault.kind.split()[0], rng)
        for place, path in enumerate(paths if fault.kind == "cut checkpoint" else ()):   # and file times have the wrong order
            os.utime(path, (2e9 - place, 2e9 - place))
    elif fault.kind == "leftovers":
        end = bench.saved(stage, after=True)
        for made in (path.relative_to(end) for pattern in stage.writes for path in sorted(end.glob(pattern))):
            path = folder / made
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.name != ".done":
                copied = path.name == "utt2spk" and (end / made).with_name("ark").exists()   # a shell copies it, and names it differently
                left = path if path.suffix == ".ark" else path.with_name(".utt2spk.tmp" if copied else temporary(path.name))
                left.write_bytes(rng.randbytes(300))
            if (end / made).with_name(".busy").exists():   # a step makes this first
                path.with_name(".busy").touch()
    elif fault.kind == "clock":
        for made in MADE:
            for path in (folder / made).rglob("*"):
                if path.is_file() and not path.is_symlink():
                    os.utime(path, (2e9, 2e9 + rng.random()))


def temporary(name: str) -> str:
    """Name of the file that sslspk.io.files.atomic_write leaves behind if its process is killed on this machine."""
    return f".{name}.{hashlib.md5(os.uname().nodename.encode()).hexdigest()[:4]}01234567.tmp"


def manner(fault: Fault) -> str:
    """What happens at the chosen file operation: die, pause (then all processes are killed), or the number of an error."""
    rng = random.Random(fault.seed + 1)
    return str(rng.choice(operations.ERRORS)) if fault.kind.startswith("fail") else rng.choice(("die", "pause"))


def aimed(bench: Bench, fault: Fault) -> dict[str, str]:
    """The environment variables that place a fault at a file operation; none for other faults."""
    if " at " not in fault.kind:
        return {}
    at = operations.choose(bench.reference[fault.stage]["operations"], fault.kind.split(" at ")[1], random.Random(fault.seed))
    how = manner(fault)
    text = {"TEXT": os.strerror(int(how))} if how.isdecimal() else {}
    return operations.watched(bench.out, bench.folder(BY_NAME[fault.stage]), {"AT": at, "HOW": how, **text}, counters(bench))


def counters(bench: Bench) -> Path:
    return bench.out / f"counts/{bench.part}"


def fired(bench: Bench) -> bool:
    return (counters(bench) / "fired").exists()


def during(bench: Bench, fault: Fault, command: Command) -> list[Command]:
    """Wait for the fault's moment, then disturb the command; returns further commands that it started. Raises Missed."""
    if " at " in fault.kind:
        return at_operation(bench, fault, command)
    if processes.wait(lambda: command.popen.poll() is not None, fault.moment * bench.reference[fault.stage]["seconds"]):
        raise Missed
    how, _, whom = fault.kind.partition(" ")
    if fault.kind == "twice":
        return [processes.start(bench, BY_NAME[fault.stage], command.mark + "-twin")]
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
    elif fault.kind == "few files":
        few_files(one_of(fault, command, "python"), fault.seed)
    else:
        processes.send(SIGNALS[how], [one_of(fault, command, whom)])
    return []


def at_operation(bench: Bench, fault: Fault, command: Command) -> list[Command]:
    """Wait for the chosen file operation; if it pauses, kill every process. Raises Missed."""
    watch = processes.Watch(bench, (command.mark,), command.log, bench.reference[fault.stage]["cpu"])
    if said := watch.until(lambda: command.popen.poll() is not None or fired(bench)):
        command.log.write_text(f"before the fault came: {said}\n")
        processes.kill_all(command.mark)
    elif fired(bench) and manner(fault) == "pause":
        processes.kill_all(command.mark)
    return []


def one_of(fault: Fault, command: Command, role: str) -> processes.Process:
    """One of the processes with this role, as soon as there is one. Raises Missed if the command ends first."""
    found: list = []
    processes.wait(lambda: found.extend(processes.of_role(role, command.mark)) or found or command.popen.poll() is not None, 60)
    if not found:
        raise Missed
    return random.Random(fault.seed).choice(found)


def few_files(one: processes.Process, seed: int) -> None:
    """From now on the process may open at most three more files."""
    try:
        there = max(int(path.name) for path in Path(f"/proc/{one.pid}/fd").iterdir())
        _, most = resource.prlimit(one.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(one.pid, resource.RLIMIT_NOFILE, (there + 1 + random.Random(seed).randrange(4), most))
    except (FileNotFoundError, ProcessLookupError, ValueError):
        raise Missed from None


def limits(bench: Bench, fault: Fault) -> dict:
    """Arguments to start a fault's command; without a private disk to fill, a limit on file size stands in for a full disk."""
    if fault.kind == "full shm":
        fill(bench, fault.room, SHM)
    if fault.kind != "full disk" or bench.mounted:
        return {"variables": aimed(bench, fault)}
    most = (1 + fault.room // 2) * 1024
    return {"limit": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))}


def fill(bench: Bench, room: int, disk: Path | None = None) -> None:
    """Leave `room` KiB free on the bench's disk, or on another private one."""
    if bench.mounted:
        disk = disk or bench.out / "work"
        free = shutil.disk_usage(disk).free - room * 1024
        with contextlib.suppress(OSError), (disk / BALLAST).open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(free, 1))


def read_only(bench: Bench, fault: Fault, on: bool) -> None:
    """Make the folder that the stage writes to read-only, or writable again."""
    stage = BY_NAME[fault.stage]
    folder = bench.folder(stage) / stage.writes_to
    folder.mkdir(exist_ok=True)
    if bench.mounted and on:
        subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
        remount = ["mount", "-o", "remount,bind,ro", str(folder)]
        if not processes.wait(lambda: subprocess.run(remount, check=False, capture_output=True).returncode == 0, 10):   # a file is open
            raise Missed
    elif bench.mounted:
        while str(folder) in Path("/proc/self/mounts").read_text():
            subprocess.run(["umount", "-l", str(folder)], check=True)
    else:
        for path in [folder, *filter(Path.is_dir, folder.rglob("*"))]:
            path.chmod(0o555 if on else 0o755)


def clean(bench: Bench, fault: Fault) -> None:
    """Remove the fault, as a user would after reading the message."""
    (bench.out / "work" / BALLAST).unlink(missing_ok=True)
    if fault.kind == "full shm":
        (SHM / BALLAST).unlink(missing_ok=True)
    if fault.kind == "read-only":
        read_only(bench, fault, False)
