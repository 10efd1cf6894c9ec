"""Files by which ranks tell the process that started them why they failed, or that they stopped on request."""
import contextlib
import json
import os
import signal
import time
import traceback
from pathlib import Path

from sslspk import reading
from sslspk.errors import InputError, MachineError, of_machine
from sslspk.io.files import atomic_write

REQUEUE = 99              # exit status of a run that was asked to stop and saved: start it again
STOPPED = ".stopped"      # a file in EXP that says so too, to the agents of other nodes and to steps/train.sh
FOLDER = ".failures"      # in EXP, of the start at hand: a file per rank that failed
VARIABLE = "SSLSPK_FAILURES"
NOTE = {"time": float, "rank": int, "host": str, "text": str}
LINES = 12                # of a traceback's end; all of it stands further up in the log


class Noted(contextlib.AbstractContextManager):
    """Notes what ends this rank, for `first`; where nobody started it as a rank, does nothing."""

    def __exit__(self, kind, err, trace) -> None:
        folder = os.environ.get(VARIABLE)
        if not folder or not isinstance(err, Exception):
            return
        text = str(err) if isinstance(err, (InputError, MachineError)) else of_machine(err) or "".join(traceback.format_exception(err))
        note = {"time": time.time(), "rank": int(os.environ["RANK"]), "host": os.uname().nodename, "text": text}
        path = Path(folder) / f"rank-{note['rank']}.json"
        with contextlib.suppress(OSError), atomic_write(path) as f:  # a full disk may be the very failure
            json.dump(note, f)


def first(exp: Path, ranks: int, killed: dict[int, int]) -> str:
    """What to tell of a failed start: the rank that failed first, and why. killed: signal by rank, of ranks that one ended."""
    notes = sorted(filter(None, map(_read, (exp / FOLDER).glob("rank-*.json"))), key=lambda note: note["time"])
    silent = sorted(set(range(ranks)) - {note["rank"] for note in notes})
    hung = bool(notes and silent) and _of_waiting(notes[0]["text"])   # the agent then ends, and at last kills, those that hung
    for rank, number in sorted(killed.items()):
        if rank in silent and number != signal.SIGTERM and not hung:
            return (f"train.py: error: rank {rank} of {ranks} was killed by {signal.Signals(number).name}{_hint(number, rank, silent)}; "
                    "the others ended with it; run the same command again: it resumes from the last checkpoint.")
    if not notes:
        return (f"train.py: error: the ranks of {exp} ended without a word; see further up, and run the same command again: it resumes "
                "from the last checkpoint.")
    note = notes[0]
    late = f"; rank(s) {', '.join(map(str, silent[:8]))} told nothing: waiting, or hung" if hung else ""
    lines = note["text"].rstrip().splitlines()
    gap = " " if len(lines) == 1 else "\n"   # a sentence, or a traceback
    return f"train.py: error: rank {note['rank']} of {ranks} ({note['host']}) failed first{late}:{gap}" + "\n".join(lines[-LINES:])


def _read(path: Path) -> dict | None:
    """What a rank left; None where that is damaged, and the rank counts as silent."""
    try:
        note = reading.json_object(path)
    except InputError:
        return None
    return note if all(isinstance(note.get(key), kind) for key, kind in NOTE.items()) else None


def _hint(number: int, rank: int, silent: list[int]) -> str:
    """What such a signal usually means."""
    if number == signal.SIGKILL:
        return " (too little memory is the usual reason)"
    if number == signal.SIGABRT:   # nccl's watchdog; the rank that it waited for tells nothing
        others = ", ".join(str(other) for other in silent if other != rank) or "none"
        return f" (nccl gives up waiting so: see 'Watchdog' further up; ranks that told nothing and may hang: {others})"
    return " (told to stop before its training had begun)" if number == signal.SIGUSR1 else ""


def _of_waiting(text: str) -> bool:
    return any(word in text.lower() for word in ("timed out", "timeout"))
