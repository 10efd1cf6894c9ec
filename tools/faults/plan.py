"""Plans which faults are tried: the seed decides the list, in which each kind comes equally often, at different stages."""
import random
from dataclasses import dataclass

from faults.operations import OPERATIONS
from faults.stages import BY_NAME, STAGES

ALL = tuple(stage.name for stage in STAGES)
TRAINS = tuple(stage.name for stage in STAGES if stage.exp)
JOBS = tuple(name for name in ALL if name not in ("prepare", "table"))
RUNS = tuple(stage.name for stage in STAGES if stage.words[0] == "./run.sh")
LOADERS = ("train", "ranks", "dino", "c3moco", "rounds")   # trainings with processes that read data
KINDS = {   # fault -> the stages that it can disturb
    "kill all": ALL,              # kill -9 of every process
    "kill run.sh": ALL,           # only the first shell; the other processes go on
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
    "few files": JOBS,            # a running program may open only a few more files
    "full disk": ALL,
    "full shm": LOADERS,           # /dev/shm has no room
    "read-only": ALL,
    "twice": ALL,                 # the same command a second time while the first one runs
    "cut input": ALL,             # before the stage: a file that it reads ends early
    "blank input": ALL,            # it begins with zeros
    "lost input": ALL,
    "flip input": ALL,             # one bit changes; size and time stay
    "hole input": ALL,             # zeros in the middle; size and time stay
    "cut output": ALL,             # after the stage: the same for a file that it wrote, which the next run must make again
    "blank output": ALL,
    "lost output": ALL,
    "flip output": ALL,
    "hole output": ALL,
    "cut checkpoint": TRAINS,      # the newest, without a final.pt
    "flip checkpoint": TRAINS,
    "lost checkpoints": TRAINS,    # all of them, with a sound final.pt: they need not come back
    "flip log": TRAINS,            # progress.jsonl, without a final.pt: it may lose lines, the training goes on
    "leftovers": JOBS,             # half-written temporary files of an earlier crash
    "clock": JOBS,                 # all file times are in the future, in random order
}


@dataclass(frozen=True)
class Fault:
    """moment: when it comes, as a share of the stage's time. path: pattern of the file that it damages. seed: for all other
    choices. room: KiB free on a full disk."""

    number: int
    kind: str
    stage: str
    moment: float
    path: str
    seed: int
    room: int


def starts_after(fault: Fault) -> bool:
    """Whether the damaged file exists only at the stage's end: an output, or an input that the stage made (a synthetic corpus)."""
    made = fault.kind.endswith("input") and fault.stage == "prepare"
    return made or fault.kind.endswith(("output", "checkpoint", "checkpoints", "log"))


def possible(known: dict[str, set[str]], only: str = "") -> list[tuple[str, str]]:
    """All (kind, stage) of the stages in `known`, which maps each to the file operations that it does."""
    return [(kind, stage) for kind, stages in KINDS.items() for stage in stages if only in kind and stage in known
            and (" at " not in kind or kind.split(" at ")[1] in known[stage])]


def plan(count: int, seed: int, pairs: list[tuple[str, str]], given: bool = False) -> list[Fault]:
    """`count` faults. The kinds take turns; each goes through its stages in a random order, cheap ones first on average.
    given: exactly these pairs."""
    rng = random.Random(seed)
    turns: dict[str, list[str]] = {}
    for kind, stage in pairs:
        turns.setdefault(kind, []).append(stage)
    # Sorting by exponential variates with the weights as rates is weighted drawing without replacement.
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
