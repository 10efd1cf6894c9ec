"""One fault from beginning to end, and what is to be said of it: survived, lost or hung."""
import dataclasses
import os
import re
from pathlib import Path

from faults import compare, inject, processes
from faults.bench import Bench
from faults.plan import Fault, starts_after
from faults.processes import Command, Watch
from faults.stages import BY_NAME

TOLD = ("full disk", "full shm", "few files", "read-only", "kill worker", "stop worker", "fail at")   # must end in a sentence too, or well
SENTENCE = re.compile(r"error:|No space left|Read-only file system|File too large|cannot do this")
PLACES = ("", "-twin", "-again", "-third")   # what the marks of one fault's commands end with


class Verdict(Exception):
    """lost or hung, and why."""


def judge(bench: Bench, fault: Fault) -> dict:
    """Put one fault in, run the command again, compare; returns {"verdict": survived | lost | hung | missed, "why"}."""
    for attempt in range(4):
        sooner = dataclasses.replace(fault, moment=fault.moment / 2 ** attempt, room=fault.room // 4 ** attempt)
        row: dict = {"verdict": "survived", "why": ""}
        mark = f"{bench.part}.{fault.number}-{attempt}.{os.getpid()}"   # of this campaign, not of one that was killed
        try:
            row["why"] = disturb(bench, sooner, mark)
        except inject.Missed:
            continue
        except Verdict as err:
            row["verdict"], row["why"] = err.args
        finally:
            for place in PLACES:
                processes.kill_all(mark + place)
            inject.clean(bench, fault)
            bench.cluster.clean()
        return row
    return {"verdict": "missed", "why": "it was over each time before the fault came, or took no notice"}


def disturb(bench: Bench, fault: Fault, mark: str) -> str:
    """The fault, then the same command as often as a user would need it; returns a remark. Raises Verdict, Missed."""
    stage = BY_NAME[fault.stage]
    bench.restore(stage, after=starts_after(fault))
    shm = {path.name for path in inject.SHM.iterdir()}
    damaged = inject.damage(bench, fault) if fault.kind.endswith(("input", "output")) else None
    inject.before(bench, fault)
    lies_there = damaged or fault.kind.endswith(("checkpoint", "checkpoints", "log")) or fault.kind in ("leftovers", "clock")
    command = processes.start(bench, stage, mark, **inject.limits(bench, fault))
    others = [] if lies_there or fault.kind == "full shm" else inject.during(bench, fault, command)
    statuses = [finish(bench, fault, one) for one in (command, *others)]
    inject.clean(bench, fault)
    came = inject.fired(bench) if " at " in fault.kind else fault.kind in ("full shm", "few files")   # which may well be enough
    if not lies_there and not others and statuses[0] == 0 and not came:   # nothing that the command noticed, or nothing that it told
        alone(bench, fault, command)
        require_same(bench, fault)
        raise inject.Missed
    if damaged and fault.kind.endswith("input"):
        remark = after_input(bench, fault, mark, damaged, statuses[0], command.log)
    else:
        remark = f"exit {statuses[0]}" + f", {damaged}" * bool(damaged)
        if fault.kind.startswith(TOLD) and statuses[0]:
            require_sentence(command.log)
        if fault.kind == "twice" or lies_there:
            for one, status in zip((command, *others), statuses, strict=True):
                if status:
                    raise Verdict("lost", f"exit {status} of {one.log.name}: {last_line(one.log)}")
        else:
            again(bench, fault, mark)
    alone(bench, fault, command)
    require_same(bench, fault, damaged)
    if damaged and is_log(fault, damaged) and not silent(fault) and not names(command.log.read_text(errors="replace"), damaged):
        raise Verdict("lost", f"{damaged} lost lines, and nobody was told")
    a_third_time(bench, fault, mark, damaged)
    if bench.mounted and (left := {path.name for path in inject.SHM.iterdir()} - shm):
        raise Verdict("lost", f"{len(left)} files are left in /dev/shm, the first of them {min(left)}")
    return remark


def after_input(bench: Bench, fault: Fault, mark: str, damaged: Path, status: int, log: Path) -> str:
    """A damaged input must be told by its name, or make no difference; put back, the same command ends as undisturbed.

    One bit, or zeros, that keep size and time need not be noticed (see the program's help), but never end in a traceback. Put back, they
    must be taken for another file than they were, except for the samples of recordings."""
    stage, unseen = BY_NAME[fault.stage], silent(fault)
    said = log.read_text(errors="replace")
    told = names(said, damaged)
    if status and not told and not unseen:
        raise Verdict("lost", f"exit {status} without naming {damaged}: {last_line(log)}")
    if status or unseen:
        require_sentence(log, bool(status))
    made_again = not status and (bench.folder(stage) / damaged).exists()
    inject.mend(bench, fault, damaged)
    different = [path for path in bench.differences(stage) if path != str(damaged)] if not status and not told else []
    if different and not unseen:
        raise Verdict("lost", f"{damaged} was accepted in silence; different: {', '.join(different[:4])}")
    again(bench, fault, mark)
    if different and not promised(fault, damaged) and bench.differences(stage):
        bench.restore(stage, after=True)
        return f"exit {status}, not noticed, as nothing tells such numbers from others: {damaged}"
    remark = "told" if told else "no difference" if not different else "not noticed, and made again when it was put back"
    return f"exit {status}, {'made again' if made_again and not different and not told else remark}: {damaged}"


def promised(fault: Fault, damaged: Path) -> bool:
    """Whether a file that was put back with its old size and time must be noticed. Not promised: recordings, whose samples could be any;
    what a training reads, since it looks at ids and lengths alone; the corpora, of which preparation keeps no digest."""
    return not (damaged.suffix in (".wav", ".ark") or BY_NAME[fault.stage].exp or fault.stage == "prepare")


def finish(bench: Bench, fault: Fault, command: Command) -> int:
    """Its exit status, for which it has as long as it gets on."""
    watch = Watch(bench, (command.mark,), command.log, bench.reference[fault.stage]["cpu"])
    if said := watch.until(lambda: command.popen.poll() is not None):
        raise Verdict("hung", f"{command.log.name}: {said}: {last_line(command.log)}")
    return command.popen.returncode


def again(bench: Bench, fault: Fault, mark: str) -> None:
    command = processes.start(bench, BY_NAME[fault.stage], f"{mark}-again")
    status = finish(bench, fault, command)
    if status:
        raise Verdict("lost", f"run again it ended with {status}: {last_line(command.log)}")


def a_third_time(bench: Bench, fault: Fault, mark: str, damaged: Path | None) -> None:
    """Once more when all is whole: nothing may be written that the undisturbed run does not write again, either."""
    stage = BY_NAME[fault.stage]
    before = compare.versions(bench.folder(stage))
    command = processes.start(bench, stage, f"{mark}-third")
    status = finish(bench, fault, command)
    if status:
        raise Verdict("lost", f"a third time it ended with {status}: {last_line(command.log)}")
    after = compare.versions(bench.folder(stage))
    written = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    if more := sorted(written - set(bench.reference[fault.stage]["rewritten"])):
        raise Verdict("lost", f"a third time it made again what was finished: {', '.join(more[:4])}")
    require_same(bench, fault, damaged)


def alone(bench: Bench, fault: Fault, command: Command) -> None:
    """No process may be left behind."""
    marks = tuple(command.mark + place for place in PLACES)
    watch = Watch(bench, marks, command.log, bench.reference[fault.stage]["cpu"])
    if watch.until(lambda: not processes.family(*marks)):
        left = processes.family(*marks) or [processes.Process(0, 0, ("(gone)",), False, 0.0)]
        raise Verdict("hung", f"{len(left)} processes are left, the first of them {' '.join(left[0].words)[:150]}")


def silent(fault: Fault) -> bool:
    """Whether it keeps the size and the time of the file."""
    return fault.kind.startswith(("flip", "hole"))


def is_log(fault: Fault, damaged: Path) -> bool:
    """Whether it is an output that only a new training would write again: that must be told."""
    return fault.kind.endswith("output") and damaged.name == "progress.jsonl"


def require_same(bench: Bench, fault: Fault, damaged: Path | None = None) -> None:
    different = bench.differences(BY_NAME[fault.stage])
    if damaged and is_log(fault, damaged):
        different = [path for path in different if path != str(damaged)]
    if fault.kind == "lost checkpoints":   # nobody needs them any more
        different = [path for path in different if "/ckpt/" not in path]
    if fault.kind == "flip log":   # what it said before
        different = [path for path in different if not path.endswith("/progress.jsonl")]
    if different:
        raise Verdict("lost", f"different from the undisturbed run: {', '.join(different[:4])}{' ...' if len(different) > 4 else ''}")


def require_sentence(log: Path, failed: bool = True) -> None:
    said = log.read_text(errors="replace")
    if "Traceback" in said or (failed and not SENTENCE.search(said)):
        raise Verdict("lost", f"a traceback or nothing in place of a sentence: {last_line(log)}")


def names(said: str, path: Path) -> bool:
    """Whether a line of error or warning names the file."""
    lines = [line for line in said.splitlines() if re.search(r"error|warning|left out|broken", line, re.IGNORECASE)]
    return any(f"{path.parent.name}/{path.name}" in line or f"*/{path.name}" in line   # the name alone many files have
               or (f"{path.parent} has" in line and path.name in line) for line in lines)


def last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["(nothing)"])[-1][:300]
