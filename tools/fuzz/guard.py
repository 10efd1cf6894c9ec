"""The guard around an input: an audit hook that sees what no input may cause, and limits of time and memory."""
import os
import resource
import signal
import sys
import time
from pathlib import Path

from fuzz.case import Hung

CPU_SECONDS, BLOCKED_SECONDS, MEMORY = 20.0, 6.0, 2 << 30
STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn"}
CONNECTS = {"socket.connect", "socket.bind", "urllib.Request", "ftplib.connect", "smtplib.connect"}
CHANGES = {"os.remove", "os.rename", "os.rmdir", "os.truncate", "os.chmod", "os.chown", "os.link", "os.symlink", "shutil.rmtree",
           "shutil.move", "os.mkdir"}
HARMLESS = ("/dev/null", "/dev/shm/", "/proc/self/")
CANARY = "CANARY"


class Guard:
    """Watches one process. `notes` is what was seen since `begin`.

    inside: the folder that inputs may write to. starts: the family runs shells, and waits for them.
    """

    def __init__(self, inside: Path, starts: bool):
        self.inside, self.notes, self.on, self.starts = str(inside.resolve()), [], False, starts
        self._cpu = self._wall = self._used = 0.0
        self._modules: set[str] = set()
        sys.addaudithook(self._hear)
        signal.signal(signal.SIGALRM, self._tick)

    def begin(self) -> None:
        self.notes, self._modules = [], set(sys.modules)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, resource.RLIM_INFINITY))
        self._cpu, (self._used, self._wall) = _cpu(), _progress()
        self.on = True
        signal.setitimer(signal.ITIMER_REAL, 1, 1)

    def end(self) -> list[str]:
        """Stop watching; what was seen."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.on = False
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for name in sys.modules.keys() - self._modules:
            path = getattr(sys.modules[name], "__file__", None) or ""
            if path.startswith(self.inside):
                self.notes.append(f"imported {path}")
        if list(Path(self.inside).rglob(CANARY)):
            self.notes.append(f"a command made {CANARY}")
        return self.notes

    def _tick(self, number: int, frame: object) -> None:
        if not self.on:
            return
        used, wall = _progress()
        if _cpu() - self._cpu > CPU_SECONDS:
            raise Hung(f"no end after {CPU_SECONDS:g} CPU seconds")
        if used - self._used > 0.02:
            self._used, self._wall = used, wall
        elif wall - self._wall > BLOCKED_SECONDS and not self.starts:
            raise Hung(f"it waited {BLOCKED_SECONDS:g} s for something that does not come")

    def _hear(self, event: str, args: tuple) -> None:
        if not self.on:
            return
        if event in STARTS and not self.starts and not _is_git(event, args):
            self.notes.append(f"{event} {str(args[:2])[:120]}")
        elif event in CONNECTS:
            self.notes.append(f"{event} {str(args[1:])[:80]}")
        elif event == "pickle.find_class":
            self.notes.append(f"unpickled {args[0]}.{args[1]}")
        elif event in CHANGES or (event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            self._outside(event, args[0])

    def _outside(self, event: str, path: object) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            full = os.path.abspath(os.fsdecode(path))
            if not full.startswith((self.inside, *HARMLESS)):
                self.notes.append(f"{event} of {full}")


def _is_git(event: str, args: tuple) -> bool:
    """Asking for the commit is no command of an input's."""
    words = args[1] if event == "subprocess.Popen" else ()
    return isinstance(words, list | tuple) and list(words[:2]) == ["git", "-C"]


def _cpu() -> float:
    """Seconds that this process has computed, with all of its threads."""
    return time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID)


def _progress() -> tuple[float, float]:
    """Seconds that this process has computed, and seconds since the boot less those in which its first thread waited for a core."""
    waited = int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9 if os.path.exists("/proc/self/schedstat") else 0.0
    return _cpu(), time.monotonic() - waited
