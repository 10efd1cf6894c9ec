"""The verdict on what a program did with an input: ok, refused, or WRONG with the reason."""
import re
import sys
import traceback
from typing import NamedTuple

from fuzz.case import Case, Hung, Outcome

SENTENCE = 160
OK, REFUSED, WRONG = "ok", "refused", "WRONG"
# the kinds of what is wrong, as the last table counts them
KINDS = ("traceback", "hang", "memory", "command", "wrong", "accepted", "too strict", "message")


class Verdict(NamedTuple):
    """kind: one of KINDS where the verdict is WRONG. why: what happened, and what would be right."""

    verdict: str
    kind: str = ""
    why: str = ""


def judge(case: Case, outcome: Outcome, notes: list[str]) -> Verdict:
    """Compare an outcome with what the input says."""
    if notes:
        return Verdict(WRONG, "command", notes[0])
    if outcome.error is not None:
        return _of_error(outcome.error)
    if outcome.status:
        return _of_refusal(case, outcome)
    if case.accepted is None:
        return Verdict(WRONG, "accepted", f"exit 0, but it must be refused; it printed {outcome.out.strip()[-120:]!r}")
    why = case.accepted(outcome)
    return Verdict(WRONG, "wrong", why) if why else Verdict(OK)


def _of_error(error: BaseException) -> Verdict:
    last = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in last if "/sslspk/" in frame.filename or "/local/" in frame.filename] or last
    place = f"{ours[-1].filename.rpartition('/sslspk/')[2]}:{ours[-1].lineno}" if ours else "?"
    text = f"{type(error).__name__} at {place}: {' '.join(str(error).split())[:160]}"
    if isinstance(error, Hung):
        return Verdict(WRONG, "hang", f"{place}: {error}")
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return Verdict(WRONG, "memory", text)
    return Verdict(WRONG, "traceback", text)


def _of_refusal(case: Case, outcome: Outcome) -> Verdict:
    told = list(re.finditer(r"^\S+: error: ", outcome.err, re.MULTILINE))
    sentence = outcome.err[told[-1].end():].strip() if told else ""
    if "too little memory" in sentence:
        return Verdict(WRONG, "memory", sentence)
    if not case.refusable:
        return Verdict(WRONG, "too strict", f"refused, but it is sound: {(sentence or outcome.err)[:240]}")
    if not sentence:
        return Verdict(WRONG, "message", f"exit {outcome.status} without a sentence on a line of its own: {outcome.err[-200:]!r}")
    if "Traceback" in outcome.err or "weights_only=False" in outcome.err:
        return Verdict(WRONG, "message", f"advice or a traceback that is not ours: {outcome.err[-300:]!r}")
    if len(sentence.splitlines()) > 1 or "\x1b" in sentence:
        return Verdict(WRONG, "message", f"more than one line: {sentence[:240]!r}")
    bare = re.sub(r"[^\s'\"]{0,120}/[^\s'\",;:)]{0,120}|\.\.\.[^\s'\"]{0,170}", "", sentence)   # paths, or the ends of long ones
    if len(bare) > SENTENCE:
        return Verdict(WRONG, "message", f"{len(bare)} characters: {sentence[:300]}")
    if case.names and not any(name in sentence for name in case.names):
        return Verdict(WRONG, "message", f"names none of {', '.join(case.names)}: {sentence[:240]}")
    return Verdict(REFUSED, "", sentence)


def trace(error: BaseException) -> None:
    """Print a traceback, for one who replays an input."""
    traceback.print_exception(error, file=sys.stdout)
