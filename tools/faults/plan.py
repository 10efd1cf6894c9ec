"""Which faults are tried: a list that the seed decides, in which each kind meets each stage that it can meet."""
import random
from dataclasses import dataclass

from faults.stages import BY_NAME, STAGES

TRAINS = ("train", "ranks", "rounds")
ALL = tuple(stage.name for stage in STAGES)
JOBS = tuple(name for name in ALL if name not in ("prepare", "table"))
RUNS = tuple(name for name in ALL if name != "ranks")   # by run.sh; the ranks are a step by itself
KINDS = {   # fault -> the stages that it meets
    "kill all": ALL,              # kill -9 of every process
    "kill run.sh": ALL,           # the first shell alone, the rest goes on
    "kill step": tuple(name for name in JOBS if name != "ranks"),
    "kill run.pl": JOBS,
    "kill job": JOBS,
    "kill rank": ("ranks",),
    "kill worker": TRAINS,         # a process that reads data
    "stop rank": ("ranks",),       # SIGSTOP: it hangs
    "stop worker": ("train", "rounds"),
    "terminate group": ALL,        # SIGTERM to all processes of the group
    "interrupt group": ALL,       # Ctrl-C
    "terminate run.sh": RUNS,
    "full disk": ALL,
    "read-only": ALL,
    "twice": ALL,                 # the same command a second time while the first one runs
    "cut input": ALL,             # before the stage: a file that it reads ends early
    "blank input": ALL,            # begins with zeros
    "lost input": ALL,
    "cut output": ALL,             # after the stage: the same for one that it wrote; run again, it is made again
    "blank output": ALL,
    "lost output": ALL,
    "cut checkpoint": TRAINS,      # the newest, and there is no final.pt yet
    "lost checkpoints": TRAINS,    # all of them, beside a sound final.pt: they need not come back
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
    """Whether what the fault damages is an input that the stage itself makes: the corpora, which are synthesised there."""
    return fault.kind.endswith("input") and fault.stage == "prepare"


def plan(count: int, seed: int, costs: dict[str, float], only: str = "", pairs: list[tuple[str, str]] | None = None) -> list[Fault]:
    """`count` faults: first each pair of kind and stage once, then the pairs of the cheaper stages more often (costs: seconds).

    only: kinds that contain this word. pairs: these in place of all.
    """
    rng = random.Random(seed)
    pairs = pairs or [(kind, stage) for kind, stages in KINDS.items() for stage in stages if only in kind and stage in costs]
    rng.shuffle(pairs)
    weights = [1 / (2 + costs[stage]) for _, stage in pairs]
    chosen = pairs[:count] + rng.choices(pairs, weights, k=max(0, count - len(pairs)))
    faults = []
    for number, (kind, stage) in enumerate(chosen):
        files = BY_NAME[stage].reads if kind.endswith("input") else BY_NAME[stage].writes
        files = BY_NAME[stage].listed or files if kind == "lost input" else files
        faults.append(Fault(number, kind, stage, rng.uniform(0.02, 0.9), rng.choice(files), rng.randrange(2 ** 31),
                            rng.randrange(120)))
    return faults
