"""Logging of a training: a line every few steps, the same figures as JSON lines and for tensorboard, a progress bar on a terminal."""
import json
import math
import os
import time
from pathlib import Path

import torch
from torch import Tensor

from sslspk import progress, reading
from sslspk.errors import InputError
from sslspk.io.files import atomic_write
from sslspk.nn import comm
from sslspk.train import cpu_time
from sslspk.train.speed import Meter

LINE_BYTES = 64 << 10   # of progress.jsonl, many times over


class TrainLog:
    """Averages figures on the device and reads them back only when a line is due. Silent on ranks other than 0."""

    def __init__(self, exp: Path, rank: int, start: int, total: int, prototypes: int | None, sums: dict[str, tuple[Tensor, int]],
                 meter: Meter):
        """prototypes: K of a method with entropies, whose largest value ln K the lines show; None: it has none. sums: what `pending`
        returned when the run was stopped. meter: measures the speed of this training."""
        self.rank, self.prototypes, self.sums, self.meter = rank, prototypes, dict(sums), meter
        self.step, self.pace, self.lines_said = start, 0.0, 0   # pace: moving average of seconds per step
        self.board = self.lines = None
        self.bar = progress.bar(total, "steps", start, shown=rank == 0)
        if rank == 0:
            from sslspk.train.board import Board
            self.board = Board(exp, start)
            _forget_after(exp / "progress.jsonl", start)
            self.lines = (exp / "progress.jsonl").open("a")

    def say(self, text: str) -> None:
        if self.rank == 0:
            self.bar.clear()
            print(time.strftime("%H:%M:%S"), text, flush=True)

    def note(self, figures: dict[str, Tensor]) -> None:
        """Figures that belong to no single step (of a clustering): they appear in the next line."""
        for key, value in figures.items():
            self.sums[key] = (value.detach().float(), 1)

    def add(self, figures: dict[str, Tensor], utterances: int, waited: float) -> None:
        """Take up one step's figures (device scalars, not read here)."""
        for key, value in figures.items():
            value = value.detach().float()
            self.sums[key] = (self.sums[key][0] + value, self.sums[key][1] + 1) if key in self.sums else (value, 1)
        self.meter.add(utterances, waited)
        self.bar.update(1)

    def pending(self) -> dict[str, tuple[float, int]]:
        """Sum and number of steps of each figure not yet logged, averaged over the ranks (all must call it)."""
        if not self.sums:
            return {}
        values = comm.mean_over_ranks(torch.stack([total for total, _ in self.sums.values()])).tolist()
        return {key: (value, n) for (key, (_, n)), value in zip(self.sums.items(), values, strict=True)}

    def line(self, step: int, epochs: float, lr: float, total: int) -> dict[str, float]:
        """Write the line for the steps since the last one and return its figures, means over the ranks (all of them must call it).

        total: the steps of the training as far as is known now, for the time that is left.
        """
        if not self.sums:
            return {}
        values = comm.mean_over_ranks(torch.stack([value / n for value, n in self.sums.values()])).tolist()
        figures = dict(zip(self.sums, values, strict=True))
        speed, elapsed = self.meter.lap()
        extra = {"lr": lr, **speed}
        if self.rank == 0:
            shown = {**figures, **({"ln_K": math.log(self.prototypes)} if self.prototypes else {}), **extra}
            self.say(f"step {step} epoch {epochs:.2f} " + " ".join(f"{k} {v:.4g}" for k, v in shown.items())
                     + f" left {self._left(total - step, step, elapsed)}")
            self._write(step, epochs, shown)
            self.board.add(shown, step)
        self.sums = {}
        return {**figures, **extra}

    def evaluated(self, step: int, epochs: float, figures: dict[str, float], text: str, seconds: float) -> None:
        """A line of its own about a scoring of the encoder, which took so many seconds; figures that are NaN are left out."""
        self.meter.leave_out(seconds)
        self.say(f"evaluated step {step} epoch {epochs:.2f}: {text}, in {duration(seconds)}")
        known = {key: value for key, value in figures.items() if math.isfinite(value)}
        if self.rank == 0 and known:
            self._write(step, epochs, known)
            self.board.add(known, step)

    def _write(self, step: int, epochs: float, figures: dict[str, float]) -> None:
        self.lines.write(json.dumps({"step": step, "epoch": epochs, **figures}) + "\n")
        self.lines.flush()

    def _left(self, more: int, step: int, elapsed: float) -> str:
        """The time that `more` steps take at the pace of the last lines. The first line is ignored, because the start is slow."""
        pace = elapsed / max(step - self.step, 1)
        self.pace = pace if self.lines_said < 2 else 0.7 * self.pace + 0.3 * pace
        self.step, self.lines_said, self.bar.total = step, self.lines_said + 1, step + more
        return duration(self.pace * more)

    def close(self) -> None:
        self.say(cpu_time.sentence())
        self.bar.close()
        if self.rank == 0:
            self.board.close()
            self.lines.close()


def duration(seconds: float) -> str:
    """As one word of two units: 2d3h, 1h05m, 3m20s, 40s."""
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}d{hours}h" if days else f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{whole:02d}s" if minutes else f"{whole}s"


def _forget_after(path: Path, step: int) -> None:
    """Remove the lines of steps that a killed run had done after its last checkpoint: they are about to be done again.

    Damaged lines (a crash of the machine, a full disk) go too, with a warning. Raises InputError where the file cannot be read.
    """
    if not os.path.lexists(path):
        with atomic_write(path):   # after a crash it may have been half written
            return
    damaged = 0
    with open(reading.descriptor(path, "move it away, and run the same command again"), "rb") as old, atomic_write(path) as new:
        for line in iter(lambda: old.readline(LINE_BYTES), b""):
            found = _step_of(line.strip(b"\0 \r\n"))
            if found is None:
                damaged += 1
            elif found <= step:
                new.write(line.strip(b"\0 \r\n").decode() + "\n")
    if damaged:
        print(f"warning: {damaged} damaged lines of {path} were left out.", flush=True)


def lost_lines(path: Path, last: int | None) -> bool:
    """Whether progress.jsonl of a finished run lacks lines: there is none, one is damaged, or the last is not of step `last` (None: of
    any)."""
    found = None
    try:
        with open(reading.descriptor(path, "move it away"), "rb") as file:
            for line in iter(lambda: file.readline(LINE_BYTES), b""):
                found = _step_of(line.strip(b"\0 \r\n"))
                if found is None or not line.endswith(b"\n"):
                    return True
    except (OSError, InputError):
        return True
    return found is None or last not in (None, found)


def _step_of(line: bytes) -> int | None:
    """The step that a line of progress.jsonl tells of; None where it is not whole."""
    try:
        content = json.loads(line.decode())   # not of bytes, which may be UTF-16; in which a figure may be NaN
    except (ValueError, RecursionError):
        return None
    found = content.get("step") if isinstance(content, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None
