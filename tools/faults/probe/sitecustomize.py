"""Put in front of every Python of a disturbed command: it counts what a process does to files, and comes in at the one that was chosen.

The variables SSLSPK_FAULT_* say what (faults/operations.py writes them): BELOW, the folder that counts; TRACE, a file for a line about
each operation; or AT, "operation number program", and HOW: die, pause (the campaign then kills the whole command) or the number of an
error that the operation ends with. FIRED is made when it has happened, so that it happens once.
"""
import os
import signal
import sys
import time

OPERATIONS = {"open": "open", "os.rename": "rename", "os.remove": "remove", "os.rmdir": "remove", "fcntl.flock": "lock",
              "fcntl.lockf": "lock"}
SETTINGS = {key.removeprefix("SSLSPK_FAULT_"): value for key, value in os.environ.items() if key.startswith("SSLSPK_FAULT_")}
counts: dict[str, int] = {}
state = {"busy": False, "pid": os.getpid(), "program": ""}


def program() -> str:
    """The words of this process; those of forked ones and of ranks are marked."""
    if not state["program"]:
        with open("/proc/self/cmdline", "rb") as file:
            words = file.read().decode(errors="replace").rstrip("\0").split("\0")[1:]
        state["program"] = " ".join(words) + (f" (rank {os.environ['LOCAL_RANK']})" if "LOCAL_RANK" in os.environ else "")
    return state["program"] + " (forked)" * (os.getpid() != state["pid"])


def path_of(operation: str, subject: object) -> str:
    """The path that an operation is about; empty: none below the folder that counts."""
    if isinstance(subject, int):
        if operation == "open" or subject < 0:
            return ""
        try:
            subject = os.readlink(f"/proc/self/fd/{subject}")
        except OSError:
            return ""
    path = os.path.abspath(os.fsdecode(subject)) if isinstance(subject, str | bytes | os.PathLike) else ""
    return path if path.startswith(SETTINGS["BELOW"] + "/") and "__pycache__" not in path else ""


def note(operation: str, subject: object) -> None:
    """One operation: counted, written down, or the one at which something is to happen."""
    if state["busy"]:
        return
    state["busy"] = True
    try:
        path = path_of(operation, subject)
        if not path:
            return
        key = f"{operation}\t{program()}"
        counts[key] = counts.get(key, 0) + 1
        if "TRACE" in SETTINGS:
            append(SETTINGS["TRACE"], f"{operation}\t{counts[key]}\t{program()}\t{path}\n")
        elif f"{operation}\t{counts[key]}\t{program()}" == SETTINGS["AT"]:
            happen(path)
    finally:
        state["busy"] = False


def append(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, text.encode())
    os.close(handle)


def happen(path: str) -> None:
    try:
        os.close(os.open(SETTINGS["FIRED"], os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return
    if SETTINGS["HOW"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if SETTINGS["HOW"] == "pause":
        time.sleep(3600)
    number = int(SETTINGS["HOW"])
    raise OSError(number, os.strerror(number), path)


def heard(event: str, arguments: tuple) -> None:
    if event in OPERATIONS and not (OPERATIONS[event] == "lock" and arguments[1] & 8):   # LOCK_UN
        note(OPERATIONS[event], arguments[0])


def noted_sync(real):
    """os.fsync, of which an audit hook hears nothing."""
    def sync(fd: int) -> None:
        note("sync", fd if isinstance(fd, int) else fd.fileno())
        real(fd)
    return sync


if "BELOW" in SETTINGS:
    os.fsync = noted_sync(os.fsync)
    sys.addaudithook(heard)
