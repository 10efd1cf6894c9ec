"""Grid Engine, for utils/queue.pl."""
import os
import pwd
import re
import xml.etree.ElementTree as xml

from sslspk.errors import InputError
from sslspk.launch.scheduler import Refused, Scheduler, State
from sslspk.launch.script import here

LOADS = r"\b(mem_free|mem_used|swap_free|swap_used|virtual_free|virtual_used|cpu|np_load_\w+|load_\w+|tmpfree)="


class GridEngine(Scheduler):
    """qsub, qstat, qacct, qdel."""
    name = "Grid Engine"
    conf = "queue.conf"
    restarts = "ends with status 99 (it saved), or is told to end before its time limit or a suspension"
    job = "$JOB_ID"
    assigns_gpus = False
    plain_exit = True
    transient = r"unable to (contact|send message to) qmaster|commlib|got no response|failed receiving|gdi|connection refused|timeout"
    limits = r"\bh_rt=([^\s,]+)"
    unheard = r"exit_status 138\b"
    settings = """
        command qsub -cwd -S /bin/bash -j y
        option time=* -l h_rt=$0
        option mem=* -l mem_free=$0
        option mem=0
        option num_threads=* -pe smp $0
        option num_threads=1
        option gpu=* -l gpu=$0
        option gpu=0
        """

    def submission(self, script: str, log: str, numbers: list[int]) -> list[str]:
        # -notify: a signal comes before the kill. -r n: we start a job again, not Grid Engine.
        own = ["-terse", "-r", "n", "-notify", "-j", "y", "-o", _writable(log), "-N", _job_name(script)]
        rest = [*self._passed(), *self.expanded]
        limit = self.limit()
        if self.request.options.get("requeue") == "true" and limit and "s_rt=" not in " ".join(rest):
            own += ["-l", f"s_rt={limit - self.warning()}"]
        # Refuse at once what can never run. Loads are unknown to this check (see `submit`): it would refuse any request for them.
        if not re.search(LOADS, " ".join([*self.settings_read.command, *rest])):
            own += ["-w", "e"]
        if self.request.name:
            first, last = (numbers[0], numbers[-1]) if _is_range(numbers) else (1, len(numbers))
            own += ["-t", f"{first}-{last}", *(["-tc", str(self.at_once)] if self.at_once else [])]
        # The script goes to its folder by itself; in -cwd a folder's name with $ would be looked for with a value in it.
        return [*self.with_first(own), *rest, *(["-wd", "/"] if "$" in here() else []), script]

    def submit(self, words: list[str]) -> str:
        """As everywhere; where loads such as mem_free are asked for, `-w e` cannot be, and we look for what can never run."""
        if "-w" not in words:
            said = self._beyond_all(words) or self.fails([*_without_loads(words[:-1]), "-w", "v", words[-1]])
            if "no suitable queues" in said:
                raise Refused(f"{self.name} refused the job ({said}), which is: {' '.join(words)}{self.hint(said)}", False)
        return super().submit(words)

    def _beyond_all(self, words: list[str]) -> str:
        """What is asked for and more than the largest machine has in all; "" when nothing is, or when one does not say what it has."""
        asked = re.findall(r"\b(mem|swap|virtual)_free=(\d+(?:\.\d+)?)([KMGTkmgt]?)(?![\w.])", " ".join(words))
        names = [f"{kind}_{what}" for kind in ("mem", "swap", "virtual") for what in ("total", "free")]
        hosts = _resources(self.answer(["qhost", "-xml", "-F", ",".join(names)])) if asked else []
        for kind, number, unit in asked:
            totals = [host.get(f"{kind}_total") for host in hosts if host.get(f"{kind}_free", ("", ""))[0] in ("", "hl")]
            if not totals or len(totals) < len(hosts) or None in totals:
                continue
            most = max((text for _, text in totals), key=_size)
            if _size(number + unit) > _size(most):
                return f"no suitable queues: {kind}_free={number}{unit} is more than the {kind}_total of any machine, {most} at most"
        return ""

    def seconds(self, limit: str) -> int:
        """Seconds of a time limit, h:m:s or a number; 0 for none. Raises InputError."""
        if not re.fullmatch(r"\d+(:\d+:\d+)?", limit):
            if limit:
                raise InputError(f"--time takes h:m:s or seconds in Grid Engine, not '{limit}'.")
            return 0
        parts = [int(part) for part in limit.split(":")]
        return parts[0] if len(parts) == 1 else parts[0] * 3600 + parts[1] * 60 + parts[2]

    def _passed(self) -> list[str]:
        """Words with one dash, but not those that make qsub wait: we do, and its status is not to be trusted."""
        words, found = list(self.request.passed), []
        while words:
            word = words.pop(0)
            if word == "-sync":
                words.pop(0)
            else:
                found.append(word)
        return found

    def task_number(self, numbers: list[int]) -> tuple[str, dict[int, int]]:
        if not self.request.name:
            return str(self.request.first), {self.request.first: 0}
        if _is_range(numbers):
            return "$SGE_TASK_ID", {number: number for number in numbers}
        listed = " ".join(str(number) for number in numbers)
        return f"$(set -- {listed}; echo \"${{!SGE_TASK_ID}}\")", {number: i for i, number in enumerate(numbers, 1)}

    def states(self, jobs: list[str]) -> dict[tuple[str, int], State] | None:
        try:
            done = self.call(["qstat", "-xml", "-g", "d", "-u", _user()])
            tree = xml.fromstring(done.stdout) if done.returncode == 0 else None
        except (Refused, xml.ParseError):
            return None
        if tree is None:
            return None
        found = {}
        for entry in tree.iter("job_list"):
            job, state, place = (entry.findtext(key) or "" for key in ("JB_job_number", "state", "tasks"))
            if job in jobs:
                waits, stuck = bool(re.search("[qhw]", state)), "E" in state
                text = self._why(job) if stuck else f"state {state}"
                found[job, int(place) if place.isdecimal() else 0] = State(text, waits=waits, stuck=stuck)
        return found

    def _why(self, job: str) -> str:
        """Why a job is in error."""
        lines = self.answer(["qstat", "-j", job]).splitlines()
        reasons = [line.partition(":")[2].strip() for line in lines if line.startswith("error reason")]
        return f"state Eqw, {reasons[0]}" if reasons else "state Eqw"

    def pending(self, job: str, state: State) -> str:
        lines = self.answer(["qalter", "-w", "p", job]).splitlines()
        return "; ".join(dict.fromkeys(line.strip() for line in lines if "cannot run" in line)) or state.text

    def explain(self, job: str, place: int) -> str:
        kept = self.answer(["qacct", "-j", job, *(["-t", str(place)] if place else [])])
        failed, status = (re.search(rf"^{key}\s+(\S.*)$", kept, re.MULTILINE) for key in ("failed", "exit_status"))
        return f"failed {failed[1].strip()}, exit_status {status[1].strip()}" if failed and status else ""

    def cancellation(self, jobs: list[str]) -> list[str]:
        return ["qdel", *jobs]

    def warned_is_cancelled(self, signal: str) -> bool:
        return signal == "USR2"  # qdel's; a time limit with --requeue sends USR1 first

    def hint(self, said: str) -> str:
        if "no suitable queues" in said:
            return f"\n(no machine of the cluster can ever give what was asked for; ask for less, or edit {self.settings_read.path})"
        if "tasks" in said:
            return "\n(an array may be as long as max_aj_tasks in `qconf -sconf`; ask for fewer jobs, as by a smaller --nj)"
        return super().hint(said)


def _without_loads(words: list[str]) -> list[str]:
    """The words of a submission without its requests for loads."""
    found: list[str] = []
    for word in words:
        if not (found and found[-1] == "-l"):
            found.append(word)
        elif kept := [part for part in word.split(",") if not re.match(LOADS, part)]:
            found.append(",".join(kept))
        else:
            found.pop()
    return found


def _resources(listing: str) -> list[dict[str, tuple[str, str]]]:
    """For each machine in qhost's XML, by name: where a resource comes from ("hl": a load that the machine reports) and how much it is."""
    try:
        hosts = [host for host in xml.fromstring(listing).iter("host") if host.get("name") != "global"]
    except xml.ParseError:
        return []
    return [{value.get("name", ""): (value.get("dominance", ""), value.text or "") for value in host.iter("resourcevalue")}
            for host in hosts]


def _size(text: str) -> float:
    """Bytes of a size in Grid Engine's manner; 0 for what is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGTkmgt]?)", text)
    return float(match[1]) * (1024 if match[2].isupper() else 1000) ** " kmgt".index(match[2].lower() or " ") if match else 0.0


def _writable(log: str) -> str:
    """For -o, in which these signs mean something; what is lost is only what Grid Engine says of a script that it cannot start."""
    return os.devnull if re.search(r"[,:$\n]", log) or "$" in here() else log


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "*"


def _is_range(numbers: list[int]) -> bool:
    return numbers[-1] - numbers[0] == len(numbers) - 1


def _job_name(script: str) -> str:
    """Grid Engine's names start with a letter and hold few signs."""
    name = re.sub(r"[^\w.-]", "_", script.rpartition("/")[2], flags=re.ASCII)
    return name if name[0].isalpha() else f"j{name}"
