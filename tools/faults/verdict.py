"""Runs one fault from beginning to end, and gives the verdict: survived, lost or hung."""
import dataclasses
import os
import re
from pathlib import Path

from faults import compare, inject, processes
from faults.bench import Bench
from faults.plan import Fault, starts_after
from faults.processes import Command, Watch
from faults.stages import BY_NAME

TOLD = ("full disk", "full shm", "few files", "read-only", "kill worker", "stop worker", "fail at")   # must fail with a message or succeed
SENTENCE = re.compile(r"error:|No space left|Read-only file system|File too large|cannot do this")
PLACES = ("", "-twin", "-again", "-third")   # endings of the marks of one fault's commands


class Verdict(Exception):
    """The verdict lost or hung, and the reason."""


def judge(bench: Bench, fault: Fault) -> dict:
    """Inject one fault, run the command again, compare; returns {"verdict": survived | lost | hung | missed, "why"}."""
    for attempt in range(4):
        sooner = dataclasses.replace(fault, moment=fault.moment / 2 ** attempt, room=fault.room // 4 ** attempt)
        row: dict = {"verdict": "survived", "why": ""}
        mark = f"{bench.part}.{fault.number}-{attempt}.{os.getpid()}"   # differs from marks of a killed campaign
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
    """Inject the fault, then run the same command as often as a user would; returns a remark. Raises Verdict, Missed."""
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
    came = inject.fired(bench) if " at " in fault.kind else fault.kind in ("full shm", "few files")   # which need not disturb the command
    if not lies_there and not others and statuses[0] == 0 and not came:   # the command noticed or reported nothing
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
    """A damaged input must be reported by name, or make no difference; once it is restored, the same command ends as undisturbed.

    Damage that keeps size and time (one bit, zeros) need not be noticed (see the program's help), but must not end in a traceback.
    After it is restored, the file must count as changed, except for the samples of recordings."""
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
    """Whether a restored file with its old size and time must be noticed. Not promised: recordings, whose samples can be any numbers;
    the inputs of a training, which checks only ids and lengths; the corpora, of which preparation keeps no digest."""
    return not (damaged.suffix in (".wav", ".ark") or BY_NAME[fault.stage].exp or fault.stage == "prepare")


def finish(bench: Bench, fault: Fault, command: Command) -> int:
    """The command's exit status. It may take any time while it makes progress; otherwise raises Verdict."""
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
    """Run the command once more, with everything whole: it may write only files that a repeated undisturbed run also writes."""
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
    """Raises Verdict if the command leaves a process behind."""
    marks = tuple(command.mark + place for place in PLACES)
    watch = Watch(bench, marks, command.log, bench.reference[fault.stage]["cpu"])
    if watch.until(lambda: not processes.family(*marks)):
        left = processes.family(*marks) or [processes.Process(0, 0, ("(gone)",), False, 0.0)]
        raise Verdict("hung", f"{len(left)} processes are left, the first of them {' '.join(left[0].words)[:150]}")


def silent(fault: Fault) -> bool:
    """Whether the fault keeps the size and the time of the file."""
    return fault.kind.startswith(("flip", "hole"))


def is_log(fault: Fault, damaged: Path) -> bool:
    """Whether the damaged file is an output that only a new training would write again, so that the damage must be reported."""
    return fault.kind.endswith("output") and damaged.name == "progress.jsonl"


def require_same(bench: Bench, fault: Fault, damaged: Path | None = None) -> None:
    different = bench.differences(BY_NAME[fault.stage])
    if damaged and is_log(fault, damaged):
        different = [path for path in different if path != str(damaged)]
    if fault.kind == "lost checkpoints":   # no longer needed
        different = [path for path in different if "/ckpt/" not in path]
    if fault.kind == "flip log":   # lost lines do not come back
        different = [path for path in different if not path.endswith("/progress.jsonl")]
    if different:
        raise Verdict("lost", f"different from the undisturbed run: {', '.join(different[:4])}{' ...' if len(different) > 4 else ''}")


def require_sentence(log: Path, failed: bool = True) -> None:
    said = log.read_text(errors="replace")
    if "Traceback" in said or (failed and not SENTENCE.search(said)):
        raise Verdict("lost", f"a traceback or nothing in place of a sentence: {last_line(log)}")


def names(said: str, path: Path) -> bool:
    """Whether an error or warning in `said` names the file."""
    lines = [line for line in said.splitlines() if re.search(r"error|warning|left out|broken", line, re.IGNORECASE)]
    return any(f"{path.parent.name}/{path.name}" in line or f"*/{path.name}" in line   # many files have the same name
               or (f"{path.parent} has" in line and path.name in line) for line in lines)


def last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["(nothing)"])[-1][:300]
