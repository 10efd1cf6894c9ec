"""CPU time, speed and command of a training, read from its log, for results (torch-free).

final.pt holds neither, so that it is the same bits however often and wherever the training was started.
"""
import re
import resource
import statistics
from collections.abc import Iterable
from pathlib import Path

from sslspk.io import provenance, results

SAYS = re.compile(r"CPU time of rank 0: (\d+\.\d) s")


def used() -> float:
    """Seconds of CPU time of this process, all its threads, and of its workers that have ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


def sentence() -> str:
    """What the log of rank 0 says as it ends."""
    return f"CPU time of rank 0: {used():.1f} s"


def of_experiment(exp: Path) -> float | None:
    """Seconds that the logs EXP/log/train*.log say, all starts together; None where none of them says any."""
    said = [SAYS.findall(path.read_text(encoding="utf-8", errors="replace")) for path in sorted(exp.glob("log/train*.log"))]
    times = [float(one) for found in said for one in found]
    return sum(times) if times else None


def logged(exp: Path) -> dict:
    """cpu_seconds and command of the training, as far as the logs in EXP/log say them; its speed, as far as progress.jsonl does."""
    command, seconds = provenance.logged_command(exp / "log/train.log"), of_experiment(exp)
    said = ({} if seconds is None else {"cpu_seconds": seconds}) | ({"command": command} if command else {})
    return said | results.speed(exp / "progress.jsonl")


def minutes(exps: Iterable[Path]) -> str:
    """What a table says: the mean over experiments, in minutes; nothing where no log says any."""
    known = [seconds for seconds in map(of_experiment, exps) if seconds]
    mean = statistics.fmean(known) / 60 if known else 0.0
    return "" if not known else f"{mean:.1f}" if mean >= 1 else f"{mean:.2g}"
