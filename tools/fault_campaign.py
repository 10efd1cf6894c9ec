#!/usr/bin/env python3
"""Disturb every stage of the recipe, on a corpus of seconds, in all the ways that happen, and see that nothing is ever lost.

Each fault starts from the state before a stage, comes at a random moment or lies there in a damaged file; then the same command is
run again, as a user would, and every file that the recipe makes is compared with that of an undisturbed run, byte for byte (checkpoints:
their numbers). A fault that came too late to be noticed four times over is missed, and does not count. Writes OUT/campaign.json and
OUT/summary.txt; started again, it goes on where it was. Exit status 1 when anything was lost or hung.
"""
import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

from faults.bench import Bench, code_md5
from faults.plan import KINDS, Fault, plan
from faults.stages import STAGES
from faults.verdict import judge
from tqdm import tqdm

INSIDE = "FAULT_CAMPAIGN_INSIDE"
VERDICTS = ("survived", "lost", "hung", "missed")
CODE = "code.md5"   # in OUT: of the code that is judged


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the campaign")
    add("--faults", type=int, default=200, help="how many")
    add("--seed", type=int, default=0, help="another seed: other moments, other files")
    add("--only", default="", metavar="KIND", help="kinds whose name contains this, e.g. 'input' or 'kill job'")
    add("--until", default=STAGES[-1].name, choices=[stage.name for stage in STAGES], help="the last stage that is run and disturbed")
    add("--pairs", nargs="+", metavar="KIND:STAGE", help="these faults, in place of a plan of all, e.g. 'kill all:train'")
    add("--numbers", type=int, nargs="+", help="these faults of the plan alone")
    add("--jobs", type=int, default=1, help="so many at once, each in a folder of its own")
    add("--again", action="store_true", help="try those once more that were lost, hung or missed")
    args = parser.parse_args()
    if args.faults < 1 or args.jobs < 1:
        parser.error("--faults and --jobs are whole numbers from 1 on")
    args.pairs = [tuple(pair.split(":")) for pair in args.pairs or ()]
    for pair in args.pairs:
        if len(pair) != 2 or pair[1] not in KINDS.get(pair[0], ()):
            parser.error(f"--pairs {':'.join(pair)}: there is no such fault of that stage; the kinds are {', '.join(KINDS)}")
    return args


def own_mounts() -> None:
    """Start this program anew where it may mount a small disk that nobody else sees; where that is not allowed, do without."""
    if INSIDE in os.environ:
        return
    for spaces in (["unshare", "-m"], ["unshare", "-rm"]):
        if subprocess.run([*spaces, "true"], capture_output=True, check=False).returncode == 0:
            os.environ[INSIDE] = "1"
            os.execvp(spaces[0], [*spaces, sys.executable, *sys.argv])


def campaign(args: argparse.Namespace, part: int) -> dict[str, dict]:
    """Judge the faults of one of `args.jobs` shares; the verdicts so far stand in OUT/verdicts.N.json."""
    bench = Bench(args.out if args.jobs == 1 else args.out / f"job{part}", args.until, INSIDE in os.environ)
    costs = {name: row["seconds"] if args.jobs == 1 else 8.0 for name, row in bench.reference.items()}   # the plan of all jobs must be one
    faults = [fault for fault in plan(len(args.pairs) or args.faults, args.seed, costs, args.only, args.pairs)
              if not args.numbers or fault.number in args.numbers]
    path = args.out / f"verdicts.{part}.json"
    rows = json.loads(path.read_text()) if path.exists() else {}
    for fault in tqdm(faults[part::args.jobs], unit="fault", disable=None if args.jobs == 1 else part > 0):
        key = f"{args.seed} {fault.number} {fault.kind} {fault.stage}"
        if key in rows and not (args.again and rows[key]["verdict"] != "survived"):
            continue
        begun = time.monotonic()
        rows[key] = {**dataclasses.asdict(fault), **judge(bench, fault), "seconds": round(time.monotonic() - begun, 1)}
        path.with_suffix(".part").write_text(json.dumps(rows, indent=1))
        path.with_suffix(".part").replace(path)
        report(fault, rows[key])
    return rows


def share(args: argparse.Namespace, part: int) -> NoReturn:
    """What a child does; it tells itself what stops it, as os._exit does not."""
    try:
        campaign(args, part)
    finally:
        err = sys.exc_info()[1]
        if isinstance(err, SystemExit):
            print(err, file=sys.stderr, flush=True)
        elif err:
            traceback.print_exc()
        os._exit(err is not None)


def report(fault: Fault, row: dict) -> None:
    text = f"{fault.number:4d} {row['verdict']:8s} {fault.kind:16s} {fault.stage:9s} {row['seconds']:5.1f} s  {row['why']}"
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()


def table(rows: list[dict]) -> str:
    """Kinds x stages: survived / lost / hung; those that were missed are in none of them."""
    stages = [stage.name for stage in STAGES]
    lines = [" " * 17 + "".join(f"{name:>10s}" for name in (*stages, "all"))]

    def cell(some: list[dict]) -> str:
        return "/".join(str(sum(row["verdict"] == verdict for row in some)) for verdict in VERDICTS[:3]) if some else "-"

    for kind in [*KINDS, "all"]:
        of_kind = [row for row in rows if kind in ("all", row["kind"])]
        cells = [cell([row for row in of_kind if row["stage"] == stage]) for stage in stages]
        lines.append(f"{kind:17s}" + "".join(f"{text:>10s}" for text in (*cells, cell(of_kind))))
    return "\n".join(lines)


def main() -> int:
    args = options()
    own_mounts()
    args.out.mkdir(parents=True, exist_ok=True)
    now, kept = code_md5(), args.out / CODE
    if kept.exists() and kept.read_text() != now:
        raise SystemExit(f"{args.out}: holds a campaign of other code than what is here now; give another --out.")
    kept.write_text(now)
    begun, children = time.monotonic(), []
    for part in range(1, args.jobs):
        child = os.fork()
        if child == 0:
            share(args, part)
        children.append((part, child))
    rows = campaign(args, 0)
    for part, child in children:
        if os.waitpid(child, 0)[1]:
            raise SystemExit(f"share {part} of the campaign ended early; see above, and give the same command again.")
        rows |= json.loads((args.out / f"verdicts.{part}.json").read_text())
    return conclude(args.out, list(rows.values()), (time.monotonic() - begun) / 60)


def conclude(out: Path, rows: list[dict], minutes: float) -> int:
    """Write campaign.json and summary.txt; returns the exit status."""
    bad = [row for row in rows if row["verdict"] in ("lost", "hung")]
    missed = [row for row in rows if row["verdict"] == "missed"]
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS}
    (out / "campaign.json").write_text(json.dumps({"counts": counts, "code": (out / CODE).read_text(), "faults": rows}, indent=1))
    text = (f"{table(rows)}\n\n{len(rows) - len(missed)} faults: {counts['survived']} survived, {counts['lost']} lost, "
            f"{counts['hung']} hung; {len(missed)} more were missed; "
            f"{sum(row['seconds'] for row in rows) / 60:.0f} minutes of faults, {minutes:.0f} in this run\n"
            + "".join(f"{row['verdict']}: {row['number']} {row['kind']}, {row['stage']}: {row['why']}\n" for row in bad + missed))
    (out / "summary.txt").write_text(text)
    print(text)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
