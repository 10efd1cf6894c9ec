"""Which faults are tried: a list that the seed decides, in which each kind comes equally often, at different stages."""
import random
from dataclasses import dataclass

from faults.operations import OPERATIONS
from faults.stages import BY_NAME, STAGES

ALL = tuple(stage.name for stage in STAGES)
TRAINS = tuple(stage.name for stage in STAGES if stage.exp)
JOBS = tuple(name for name in ALL if name not in ("prepare", "table"))
RUNS = tuple(stage.name for stage in STAGES if stage.words[0] == "./run.sh")
LOADERS = ("train", "ranks", "dino", "c3moco", "rounds")   # trainings with processes that read data
KINDS = {   # fault -> the stages that it meets
    "kill all": ALL,              # kill -9 of every process
    "kill run.sh": ALL,           # the first shell alone, the rest goes on
    "kill step": tuple(name for name in RUNS if name in JOBS),
    "kill run.pl": JOBS,
    "kill job": JOBS,
    "kill rank": ("ranks",),
    "kill worker": LOADERS,
    "stop rank": ("ranks",),       # SIGSTOP: it hangs
    "stop worker": LOADERS,
    "terminate group": ALL,        # SIGTERM to all processes of the group
    "interrupt group": ALL,       # Ctrl-C
    "terminate run.sh": RUNS,
    **{f"die at {name}": ALL for name in OPERATIONS},    # kill -9 of the process, or of all, right before a chosen operation on a file
    **{f"fail at {name}": ALL for name in OPERATIONS},   # the operation ends with EIO, ENOSPC, EACCES or EMFILE
    "few files": JOBS,            # a running program may open no more of them
    "full disk": ALL,
    "full shm": LOADERS,           # /dev/shm has no room
    "read-only": ALL,
    "twice": ALL,                 # the same command a second time while the first one runs
    "cut input": ALL,             # before the stage: a file that it reads ends early
    "blank input": ALL,            # begins with zeros
    "lost input": ALL,
    "flip input": ALL,             # one bit is another; size and time are as they were
    "hole input": ALL,             # zeros in the middle; size and time are as they were
    "cut output": ALL,             # after the stage: the same for one that it wrote; run again, it is made again
    "blank output": ALL,
    "lost output": ALL,
    "flip output": ALL,
    "hole output": ALL,
    "cut checkpoint": TRAINS,      # the newest, and there is no final.pt yet
    "flip checkpoint": TRAINS,
    "lost checkpoints": TRAINS,    # all of them, beside a sound final.pt: they need not come back
    "flip log": TRAINS,            # progress.jsonl, and there is no final.pt yet: it may lose lines, the training goes on
    "leftovers": JOBS,             # half-written temporaries of an earlier crash
    "clock": JOBS,                 # every file seems to be of tomorrow, the newest checkpoint the oldest
}


@dataclass(frozen=True)
class Fault:
    """moment: share of the stage's time after which it comes. path: pattern of the file that it damages. seed: for all else.
    room: KiB that a full disk has left."""

    number: int
    kind: str
    stage: str
    moment: float
    path: str
    seed: int
    room: int


def starts_after(fault: Fault) -> bool:
    """Whether what the fault damages is there at the stage's end: an output, or what the stage made itself (corpora are synthesised)."""
    made = fault.kind.endswith("input") and fault.stage == "prepare"
    return made or fault.kind.endswith(("output", "checkpoint", "checkpoints", "log"))


def possible(known: dict[str, set[str]], only: str = "") -> list[tuple[str, str]]:
    """(kind, stage) for the stages that are known, with the operations on files that each of them does."""
    return [(kind, stage) for kind, stages in KINDS.items() for stage in stages if only in kind and stage in known
            and (" at " not in kind or kind.split(" at ")[1] in known[stage])]


def plan(count: int, seed: int, pairs: list[tuple[str, str]], given: bool = False) -> list[Fault]:
    """`count` faults. The kinds take turns; each goes through its stages in an order that the seed draws, the cheap ones sooner.
    given: exactly these pairs."""
    rng = random.Random(seed)
    turns: dict[str, list[str]] = {}
    for kind, stage in pairs:
        turns.setdefault(kind, []).append(stage)
    # A stage comes the sooner, the smaller an exponential variate with its weight as rate: drawing without putting back.
    orders = {kind: sorted(stages, key=lambda stage: rng.expovariate((1 + BY_NAME[stage].cost) ** -2)) for kind, stages in turns.items()}
    kinds = sorted(orders)
    rng.shuffle(kinds)
    drawn = [(kinds[n % len(kinds)], orders[kinds[n % len(kinds)]]) for n in range(count)]
    chosen = pairs if given else [(kind, stages[n // len(kinds) % len(stages)]) for n, (kind, stages) in enumerate(drawn)]
    faults = []
    for number, (kind, stage) in enumerate(chosen):
        files = BY_NAME[stage].reads if kind.endswith("input") else BY_NAME[stage].writes
        files = BY_NAME[stage].listed or files if kind == "lost input" else files
        faults.append(Fault(number, kind, stage, rng.uniform(0.02, 0.9), rng.choice(files), rng.randrange(2 ** 31),
                            rng.randrange(120)))
    return faults
