"""The interface to a batch system, which slurm.py and gridengine.py implement."""
import os
import re
import subprocess
from dataclasses import dataclass

from sslspk.errors import InputError
from sslspk.launch.conf import Conf, expand
from sslspk.launch.request import Request, with_defaults

OWN = ("config", "pick", "requeue", "max_requeues", "together", "max_jobs_run")  # options that need no words of the conf
KEPT = re.compile(r"(PATH|HOME|USER|LOGNAME|SHELL|LANG|TZ|LD_LIBRARY_PATH|SLURM_(CONF|CLUSTERS|JWT)|(SBATCH|SGE|SSLSPK|KRB5|MUNGE)_?\w*)")
WARNING = 120  # seconds before the limit
RARELY = 6     # times as long between two questions where nothing has happened for long
PATIENCE = 60  # seconds that a command of the batch system may take


@dataclass(frozen=True)
class State:
    """Where a task stands in its batch system."""
    text: str             # in the batch system's words, with its reason
    alive: bool = True    # waiting or running
    waits: bool = False   # has not begun
    stuck: bool = False   # alive, but it will never run
    again: bool = False   # ended by no fault of its own: preempted, or its node failed
    cancelled: bool = False
    timeout: bool = False  # ended at its time limit


@dataclass
class Task:
    """One job of the request, in the batch system."""
    number: int
    job: str = ""
    place: int = 0             # in the array of its job
    submission: int = 0        # which of this program's it belongs to, from 0
    run: int = 0               # how often it was started again
    state: State | None = None
    status: int | None = None  # what its script wrote, where the batch system has still to say why it ended
    warned: bool = False       # its script caught a signal before it failed: the batch system stopped it
    timeouts: int = 0          # how often in a row it met its time limit before it could save
    cancelled_by_us: bool = False   # cancelled by this program, as one that runs together with it ended badly
    cancel_accepted: bool = False   # and the batch system said that it has done so
    gone_at: float = 0.0       # since when the batch system says that it has ended, by the monotonic clock

    @property
    def name(self) -> str:
        """As Scheduler.cancellation has it."""
        return f"{self.job}.{self.place}" if self.place else self.job


class Refused(InputError):
    """A submission that did not succeed; `transient` when it is worth another try."""

    def __init__(self, message: str, transient: bool):
        super().__init__(message)
        self.transient = transient


class Scheduler:
    """One request in one batch system; the subclasses say how it is put and what the answers mean."""
    name = ""              # as its users call it
    conf = ""              # the usual name of its configuration
    settings = ""          # the built-in configuration
    restarts = ""          # with --requeue true a job that ... is started again
    job = ""               # bash for the id of a job, inside of it
    assigns_gpus = True    # and names them in CUDA_VISIBLE_DEVICES
    exports_all = False    # the environment of who submits becomes the job's, unless the words say otherwise
    plain_exit = False     # some exit statuses of a job mean something to it
    transient = ""         # regular expression of complaints that may pass
    limits = ""            # regular expression of a time limit among the words of a submission
    unheard = "(?!)"       # regular expression of how a task ended whose script was told to end before it could listen

    def __init__(self, request: Request, conf: Conf):
        self.request, self.settings_read = with_defaults(request, conf.defaults, conf.path), conf
        asked = self.request.options
        if not re.fullmatch(r"\d+[KMGTkmgt]|0", asked.get("mem", "0")):
            raise InputError(f"--mem takes a whole number with its unit, such as 2G or 500M, not '{asked['mem']}'.")
        self.at_once = int(asked.get("max_jobs_run", 0))
        self.expanded = expand(conf, {key: value for key, value in asked.items() if key not in OWN})

    def submission(self, script: str, log: str, numbers: list[int]) -> list[str]:
        """The command that submits these tasks."""
        raise NotImplementedError

    def warning(self) -> int:
        """Seconds before its time limit at which a job is told to end."""
        limit = self.limit()
        return min(WARNING, limit // 4) if limit else WARNING

    def limit(self) -> int:
        """Seconds of the time limit that is asked for, in whatever words; 0 when none is."""
        asked = self.seconds(self.request.options.get("time", ""))
        found = re.findall(self.limits, " ".join([*self.settings_read.command, *self.request.passed, *self.expanded]))
        try:
            return self.seconds(found[-1]) if found else asked   # the last one counts
        except InputError:   # INFINITY, or a manner of writing that only the batch system knows
            return 0

    def seconds(self, limit: str) -> int:
        """Seconds of a time limit; 0 when it says none."""
        raise NotImplementedError

    def task_number(self, numbers: list[int]) -> tuple[str, dict[int, int]]:
        """Bash for a task's number, and the place of each task in the array (0 outside of one)."""
        raise NotImplementedError

    def states(self, jobs: list[str]) -> dict[tuple[str, int], State] | None:
        """State by job and place in the array of all tasks that it still knows; None when it does not answer."""
        raise NotImplementedError

    def pending(self, job: str, state: State) -> str:
        """Why a job does not start."""
        return state.text

    def explain(self, job: str, place: int) -> str:
        """How a task ended; "" if that is not known."""
        raise NotImplementedError

    def cancellation(self, jobs: list[str]) -> list[str]:
        """The command that cancels jobs; JOB.PLACE is one task."""
        raise NotImplementedError

    def warned_is_cancelled(self, signal: str) -> bool:
        """Whether the first signal that a job's script caught says that a user cancelled it."""
        raise NotImplementedError

    def with_first(self, words: list[str]) -> list[str]:
        """The configured command with words of our own right after the program, where whatever comes later wins."""
        command = self.settings_read.command
        names = [os.path.basename(word) for word in command]
        at = next((i for i, name in enumerate(names) if name in ("sbatch", "qsub")), 0) + 1
        return [*command[:at], *words, *command[at:]]

    def submit(self, words: list[str]) -> str:
        """The id of the new job. Raises Refused."""
        done = self.call(words, whole=any(word.startswith("--export") for word in words))
        said = " ".join((done.stderr + done.stdout).split())
        identity = re.search(r"^(\d+)\b", done.stdout, re.MULTILINE)
        if done.returncode or not identity:
            raise Refused(f"{self.name} refused the job ({said or f'status {done.returncode}'}); it was submitted with: "
                          f"{' '.join(words)}{self.hint(said)}", bool(re.search(self.transient, said, re.IGNORECASE)))
        return identity[1]

    def hint(self, said: str) -> str:
        """What to do about a refusal, where that is known."""
        return f"\n(options become words of {self.name} by {self.settings_read.path})" if self.expanded and said else ""

    def answer(self, words: list[str]) -> str:
        """What a command of the batch system says, "" when it does not answer: for what is good to know, and no more."""
        try:
            return self.call(words).stdout
        except Refused:
            return ""

    def fails(self, words: list[str]) -> str:
        """Run a command of the batch system: "" when it succeeds, else what it said."""
        try:
            done = self.call(words)
        except Refused as err:
            return str(err)
        said = " ".join((done.stderr + done.stdout).split())
        return said or f"status {done.returncode}" if done.returncode else ""

    def call(self, words: list[str], whole: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command of the batch system, out of reach of the terminal's signals. Raises Refused when it does not answer."""
        kept = {key: value for key, value in os.environ.items() if whole or not self.exports_all or KEPT.fullmatch(key)}
        try:
            return subprocess.run(words, text=True, capture_output=True, check=False, timeout=PATIENCE, env=kept,
                                  stdin=subprocess.DEVNULL, start_new_session=True, errors="replace")
        except FileNotFoundError:
            raise InputError(f"there is no program {words[0]} on this machine; {self.request.program} needs {self.name}'s commands "
                             f"on PATH, or use utils/run.pl in cmd.sh.") from None
        except subprocess.TimeoutExpired:
            raise Refused(f"{words[0]} did not answer within {PATIENCE} seconds.", True) from None


def between_questions(ask: float, quiet: float, hurry: bool) -> float:
    """Seconds between two questions to the batch system, when nothing has happened for `quiet` seconds; hurry: something seems over."""
    return ask / 4 if hurry else min(RARELY * ask, max(ask, quiet / 20))
