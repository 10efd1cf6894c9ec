"""Slurm, for utils/slurm.pl."""
import os
import re

from sslspk.errors import InputError
from sslspk.launch.scheduler import Refused, Scheduler, State
from sslspk.launch.script import here

ALIVE = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING", "REQUEUED",
         "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
WAITS = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"}
NEVER = r"DependencyNeverSatisfied|BadConstraints|.*requeued held"  # not JobHeldUser or JobHeldAdmin: somebody wants those to wait
AGAIN = {"PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "TIMEOUT"}  # a preemption with a GraceTime may end as TIMEOUT


class Slurm(Scheduler):
    """sbatch, squeue, scancel."""
    name = "Slurm"
    conf = "slurm.conf"
    restarts = "ends with status 99 (it saved), meets its time limit, is preempted or loses its node"
    job = "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}"
    exports_all = True
    transient = r"unable to contact|socket timed out|connection (refused|timed out|reset)|temporarily|zero bytes|transport endpoint"
    limits = r"(?<!\S)(?:-t ?|--time[ =])((?:\d+-)?\d+(?::\d+){0,2}|UNLIMITED|INFINITE)(?!\S)"
    unheard = r"killed by signal 10\b"
    settings = """
        command sbatch
        option time=* --time $0
        option mem=* --mem-per-cpu $0
        option mem=0
        option num_threads=* --cpus-per-task $0
        option gpu=* --gres=gpu:$0
        option gpu=0
        """

    def submission(self, script: str, log: str, numbers: list[int]) -> list[str]:
        own = ["--parsable", "--no-requeue", "--open-mode=append", f"--chdir={here()}", f"--output={_literal(log)}"]
        if self.request.options.get("requeue") == "true":
            own.append(f"--signal=B:USR1@{self.warning()}")
        if self.request.name:
            own.append(f"--array={_ranges(numbers)}{f'%{self.at_once}' if self.at_once else ''}")
        return [*self.with_first(own), *self._passed(), *self.expanded, script]

    def seconds(self, limit: str) -> int:
        """Seconds of a time limit in Slurm's manner: minutes, m:s, h:m:s, d-h, d-h:m, d-h:m:s; 0 for anything else."""
        if not re.fullmatch(r"(\d+-)?\d+(:\d+){0,2}", limit):
            return 0
        days, _, rest = limit.rpartition("-")
        parts = [int(part) for part in rest.split(":")]
        units = (3600, 60, 1) if days or len(parts) == 3 else (60, 1)
        return int(days or 0) * 86400 + sum(part * unit for part, unit in zip(parts, units, strict=False))

    def _passed(self) -> list[str]:
        """Words with one dash; those of Grid Engine that sbatch would choke on become its own, or a sentence."""
        words, found = list(self.request.passed), []
        while words:
            word = words.pop(0)
            if word == "-pe":
                raise InputError("-pe is an option of Grid Engine's; with slurm.pl ask for cores by --num-threads N.")
            if word == "-sync":
                words.pop(0)  # we wait in any case
            elif word == "-V":
                found.append("--export=ALL")
            elif word not in ("-cwd", "-notify"):
                found.append(word)
        return found

    def task_number(self, numbers: list[int]) -> tuple[str, dict[int, int]]:
        if not self.request.name:
            return str(self.request.first), {self.request.first: 0}
        return "$SLURM_ARRAY_TASK_ID", {number: number for number in numbers}

    def states(self, jobs: list[str]) -> dict[tuple[str, int], State] | None:
        try:
            done = self.call(["squeue", "--noheader", "--array", "--states=all", f"--jobs={','.join(jobs)}", "--format=%F|%K|%T|%r"])
        except Refused:
            return None
        if done.returncode and "Invalid job id" not in done.stderr:
            return None
        found = {}
        for line in done.stdout.splitlines():
            job, place, state, reason = [*line.split("|", 3), "", "", ""][:4]
            text = state if reason in ("None", "", state) else f"{state}, {reason}"
            found[job, int(place) if place.isdecimal() else 0] = State(
                text, alive=state in ALIVE, waits=state in WAITS, stuck=state in WAITS and bool(re.fullmatch(NEVER, reason)),
                again=state in AGAIN, cancelled=state == "CANCELLED", timeout=state == "TIMEOUT")
        return found

    def explain(self, job: str, place: int) -> str:
        task = f"{job}_{place}" if place else job
        shown = self.answer(["scontrol", "--oneliner", "show", "job", task])
        state, reason, code = (re.search(rf"\b{key}=(\S*)", shown) for key in ("JobState", "Reason", "ExitCode"))
        if not state:
            kept = self.answer(["sacct", "--noheader", "--parsable2", "--allocations", "--format=State", "--jobs", task])
            return kept.partition("\n")[0].strip()
        killed = code and not code[1].endswith(":0") and f"killed by signal {code[1].split(':')[1]}"
        return ", ".join(filter(None, [state[1], reason and reason[1] != "None" and reason[1], killed]))

    def cancellation(self, jobs: list[str]) -> list[str]:
        return ["scancel", *(job.replace(".", "_") for job in jobs)]

    def warned_is_cancelled(self, signal: str) -> bool:
        return False  # the state of the job tells

    def hint(self, said: str) -> str:
        if "array" in said.lower():
            return "\n(an array may be as long as MaxArraySize in `scontrol show config`; ask for fewer jobs, as by a smaller --nj)"
        return super().hint(said)


def _literal(log: str) -> str:
    """A file's name for --output, where % stands for numbers of the job, also in the name of the current folder."""
    whole = os.path.join(here(), log)
    return re.sub(r"[\\%]", r"\\\g<0>", whole) if re.search(r"[\\%]", whole) else log


def _ranges(numbers: list[int]) -> str:
    """1-3,7 for 1, 2, 3, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
