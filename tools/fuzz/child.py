"""The process of a family: makes its inputs one after the other and writes a line of JSON before and after each."""
import importlib
import json
import os
import random
import shutil
import sys
from pathlib import Path
from types import ModuleType

FAMILIES = ("conf", "launchers", "tables", "trials", "archives", "audio", "results", "checkpoints", "shell", "kinds")


def make(family: ModuleType, base: Path, seed: int, number: int):
    """Input `number` in the current folder: the crafted ones have the even numbers, in order, the mutated ones the rest."""
    rng = random.Random(f"{seed} {family.__name__} {number}")
    crafted = family.CRAFTED
    if number % 2 == 0 and number // 2 < len(crafted):
        return crafted[number // 2](base)
    return family.mutated(base, rng)


def main(words: list[str]) -> None:
    root, name, seed, scratch, keep, numbers = words[0], words[1], int(words[2]), Path(words[3]), words[4] == "keep", words[5]
    sys.path.insert(0, root)
    sys.dont_write_bytecode = True
    report = os.fdopen(int(words[6]), "w", buffering=1)
    import sslspk
    if not os.path.samefile(os.path.dirname(os.path.dirname(sslspk.__file__)), root):
        raise SystemExit(f"the toolkit comes from {sslspk.__file__}, not from {root}")
    from fuzz.guard import Guard
    os.environ |= {"FUZZ_ROOT": root, "MPLCONFIGDIR": str(scratch / "matplotlib")}
    family = importlib.import_module(f"fuzz.{name}")
    base = scratch / "base"
    fresh = not base.exists()
    base.mkdir(parents=True, exist_ok=True)
    os.chdir(base)
    if fresh:
        family.prepare(base)
    family.warm(base)
    guard = Guard(scratch, getattr(family, "STARTS", False))
    for number in map(int, numbers.split(",")):
        report.write(json.dumps({"begin": number}) + "\n")
        report.write(json.dumps({"number": number, **one(family, guard, base, scratch, seed, number, keep)}) + "\n")
    sys.stdout.flush()
    os._exit(0)   # threads of a hung input would keep it


def one(family: ModuleType, guard, base: Path, scratch: Path, seed: int, number: int, keep: bool) -> dict:
    """Make one input, run it and judge it."""
    from fuzz import verdict
    place = scratch / f"in{number}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    os.chdir(place)
    case = make(family, base, seed, number)
    guard.begin()
    try:
        outcome = case.run()
    finally:
        notes = guard.end()
    found = verdict.judge(case, outcome, notes)
    if keep:
        print(f"input: {case.what}\nin {place}\nexit {outcome.status}\n{outcome.out[-3000:]}\n{outcome.err[-3000:]}")
        if outcome.error is not None:
            verdict.trace(outcome.error)
    else:
        os.chdir(scratch)
        shutil.rmtree(place, ignore_errors=True)
    return {"what": case.what, **found._asdict()}


if __name__ == "__main__":
    main(sys.argv[1:])
