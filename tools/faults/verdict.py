"""One fault from beginning to end, and what is to be said of it: survived, lost or hung."""
import dataclasses
import re
from pathlib import Path

from faults import inject, processes
from faults.bench import LIMIT, Bench
from faults.plan import Fault, starts_after
from faults.processes import Command
from faults.stages import BY_NAME, TIMEOUT

TOLD = ("full disk", "read-only", "kill worker", "stop worker")   # must end in a sentence too, or well
MARGIN = 80   # seconds beyond its timeout that a training has to end in, when one of its processes hangs and the machine is busy
LEAVING = 90  # seconds that processes have to leave once the command has ended


class Verdict(Exception):
    """lost or hung, and why."""


def judge(bench: Bench, fault: Fault) -> dict:
    """Put one fault in, run the command again, compare; returns {"verdict": survived | lost | hung | missed, "why"}."""
    for attempt in range(4):
        sooner = dataclasses.replace(fault, moment=fault.moment / 2 ** attempt, room=fault.room // 4 ** attempt)
        row: dict = {"verdict": "survived", "why": ""}
        try:
            row["why"] = disturb(bench, sooner, f"{fault.number}-{attempt}")
        except inject.Missed:
            continue
        except Verdict as err:
            row["verdict"], row["why"] = err.args
        finally:
            processes.kill_all(f"{fault.number}-{attempt}")
            processes.kill_all(f"{fault.number}-{attempt}-twin")
            processes.kill_all(f"{fault.number}-{attempt}-again")
            inject.clean(bench, fault)
        return row
    return {"verdict": "missed", "why": "it was over each time before the fault came, or took no notice"}


def disturb(bench: Bench, fault: Fault, mark: str) -> str:
    """The fault, then the same command as often as a user would need it; returns a remark. Raises Verdict, Missed."""
    bench.restore(fault.stage, after=fault.kind.endswith(("output", "checkpoint", "checkpoints")) or starts_after(fault))
    damaged = inject.damage(bench, fault) if fault.kind.endswith(("input", "output")) else None
    inject.before(bench, fault)
    lies_there = damaged or "checkpoint" in fault.kind or fault.kind in ("leftovers", "clock")
    command = processes.start(bench, BY_NAME[fault.stage].words, mark, **inject.limits(bench, fault))
    others = [] if lies_there else inject.during(bench, fault, command)
    statuses = [finish(one, TIMEOUT + MARGIN if fault.kind.startswith("stop") else LIMIT) for one in (command, *others)]
    inject.clean(bench, fault)
    if not lies_there and not others and statuses[0] == 0:   # nothing that the command noticed, or nothing that it told
        alone(mark)
        require_same(bench, fault)
        raise inject.Missed
    if damaged and fault.kind.endswith("input"):
        return after_input(bench, fault, mark, damaged, statuses[0], command.log)
    if fault.kind in TOLD and statuses[0]:
        require_sentence(command.log)
    if fault.kind == "twice" or lies_there:
        for one, status in zip((command, *others), statuses, strict=True):
            if status:
                raise Verdict("lost", f"exit {status} of {one.log.name}: {last_line(one.log)}")
    else:
        again(bench, fault, mark)
    alone(mark)
    require_same(bench, fault)
    return f"exit {statuses[0]}"


def after_input(bench: Bench, fault: Fault, mark: str, damaged: Path, status: int, log: Path) -> str:
    """A damaged input must be told by its name, or make no difference; put back, the same command ends as undisturbed."""
    said = log.read_text(errors="replace")
    told = names(said, damaged)
    if status and not told:
        raise Verdict("lost", f"exit {status} without naming {damaged}: {last_line(log)}")
    if status:
        require_sentence(log)
    made_again = not status and (bench.recipe / damaged).exists()
    inject.mend(bench, fault, damaged)
    if not status and not told:
        different = [path for path in bench.differences(fault.stage) if path != str(damaged)]
        if different:
            raise Verdict("lost", f"{damaged} was accepted in silence; different: {', '.join(different[:4])}")
    again(bench, fault, mark)
    alone(mark)
    require_same(bench, fault)
    return f"exit {status}, {'told' if told else 'made again' if made_again else 'no difference'}: {damaged}"


def finish(command: Command, limit: float = LIMIT) -> int:
    """Its exit status, for which it has `limit` seconds from now on."""
    if not processes.wait(lambda: command.popen.poll() is not None, limit):
        raise Verdict("hung", f"{command.log.name} had not ended after {limit} s: {last_line(command.log)}")
    return command.popen.returncode


def again(bench: Bench, fault: Fault, mark: str) -> None:
    command = processes.start(bench, BY_NAME[fault.stage].words, f"{mark}-again")
    status = finish(command)
    if status:
        raise Verdict("lost", f"run again it ended with {status}: {last_line(command.log)}")


def alone(mark: str) -> None:
    """No process may be left behind."""
    marks = (mark, f"{mark}-again", f"{mark}-twin")
    if not processes.wait(lambda: not any(processes.family(one) for one in marks), LEAVING):
        left = [one for name in marks for one in processes.family(name)]
        raise Verdict("hung", f"{len(left)} processes are left, the first of them {' '.join(left[0].words)[:150]}")


def require_same(bench: Bench, fault: Fault) -> None:
    different = bench.differences(fault.stage)
    if fault.kind == "lost checkpoints":   # nobody needs them any more
        different = [path for path in different if "/ckpt/" not in path]
    if different:
        raise Verdict("lost", f"different from the undisturbed run: {', '.join(different[:4])}{' ...' if len(different) > 4 else ''}")


def require_sentence(log: Path) -> None:
    said = log.read_text(errors="replace")
    if "Traceback" in said or not re.search("error:|No space left|Read-only file system|File too large", said):
        raise Verdict("lost", f"a traceback or nothing in place of a sentence: {last_line(log)}")


def names(said: str, path: Path) -> bool:
    """Whether a line of error or warning names the file."""
    lines = [line for line in said.splitlines() if re.search(r"error|warning|left out|broken", line, re.IGNORECASE)]
    return any(f"{folder}/{path.name}" in line for line in lines for folder in (path.parent.name, "*"))   # the name alone many files have


def last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["(nothing)"])[-1][:300]
