#!/usr/bin/env python3
"""Disturbs every stage of the recipes, on a corpus of seconds, with every common kind of fault, and checks that nothing is lost.

Each fault starts from the state before a stage. It comes at a random moment or at one chosen file operation, or it is a file damaged
beforehand. Then the same command is run again, as a user would, and once more. The verdicts:

  survived  Every file of the recipe equals that of an undisturbed run, including hidden files and every value in a checkpoint (but not
            times, process ids, durations, or the content of log/, tensorboard/, splitN/). The third run writes only files that an
            undisturbed repeat also writes. No process and nothing in /dev/shm is left. If the user must act on the fault (a full
            disk, a damaged input, a file error), the command ended with an error message, without a traceback.
  lost      One of these does not hold.
  hung      For 75 seconds a command used no CPU time and wrote no byte, or it took 15 times its usual CPU seconds plus a minute.
            Wall time does not count, so the load of the machine does not matter.
  missed    Four times the fault came too late, or nothing noticed it; it does not count.

Damage that keeps size and time (one bit flipped, zeros inside a file): the md5 in .done finds damaged outputs, including archives up to
8 MiB; checksums find damaged checkpoints and final.pt. A damaged input may be read without notice, as any bits can be samples or ids,
but without a traceback; after it is restored, a stage with a .done notices the change, except in recordings. No promise is made for
archives above 8 MiB, recordings, and the audio of a training, which checks only ids and lengths. If the progress.jsonl of a finished
training loses lines, this is reported, but the lines do not come back.

Writes OUT/campaign.json and OUT/summary.txt; started again, it resumes. Exit status 1 if anything was lost or hung.
"""
import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from faults.bench import Bench, code_md5
from faults.cluster import missing
from faults.plan import ALL, KINDS, Fault, plan, possible
from faults.stages import STAGES
from faults.verdict import judge

INSIDE = "FAULT_CAMPAIGN_INSIDE"   # its value: the number of this process's share
VERDICTS = ("survived", "lost", "hung", "missed")
CODE = "code.md5"   # in OUT: md5 of the tested code


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the campaign")
    add("--faults", type=int, default=225, help="number of faults (225)")
    add("--seed", type=int, default=0, help="another seed: other moments, other files (0)")
    add("--only", default="", metavar="KIND", help="kinds whose name contains this, e.g. 'input' or 'kill job'")
    add("--stages", nargs="+", default=ALL, choices=ALL, metavar="STAGE", help=f"disturb only these: {' '.join(ALL)}")
    add("--pairs", nargs="+", metavar="KIND:STAGE", help="only these faults instead of the full plan, e.g. 'kill all:train'")
    add("--numbers", type=int, nargs="+", help="only these faults of the plan")
    add("--shard", default="1/1", metavar="K/N", help="the K-th of N parts of the plan, for N machines with an OUT each (1/1)")
    add("--jobs", type=int, default=1, help="faults at once; needs private mounts, as root (1)")
    add("--again", action="store_true", help="retry faults that were lost, hung or missed")
    add("--prepare", action="store_true", help="only make the undisturbed run")
    args = parser.parse_args()
    if args.faults < 1 or args.jobs < 1:
        parser.error("--faults and --jobs are whole numbers from 1 on")
    try:
        args.k, args.n = (int(number) for number in args.shard.split("/"))
    except ValueError:
        parser.error(f"--shard takes K/N, such as 1/3, not '{args.shard}'")
    if not 1 <= args.k <= args.n:
        parser.error(f"--shard {args.shard}: K is a number from 1 to N")
    args.pairs = [tuple(pair.split(":")) for pair in args.pairs or ()]
    for pair in args.pairs:
        if len(pair) != 2 or pair[1] not in KINDS.get(pair[0], ()):
            parser.error(f"--pairs {':'.join(pair)}: there is no such fault of that stage; the kinds are {', '.join(KINDS)}")
    return args


def own_mounts() -> list[str]:
    """The words before a command that let it mount small private disks; none if that is not allowed."""
    for words in (["unshare", "-m"], ["unshare", "-rm"]):
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
            return words
    return []


def share(args: argparse.Namespace, part: int) -> None:
    """Judge the faults of one of `args.jobs` shares; OUT/verdicts.N.json has the verdicts so far."""
    bench = Bench(args.out, bool(own_mounts()), part)
    names = [pair[1] for pair in args.pairs] or [name for name in args.stages if not missing(name)]
    bench.learn(list(dict.fromkeys(names)))
    if args.prepare:
        return
    done = {name: {row[0] for row in bench.reference[name]["operations"]} for name in names}
    pairs = args.pairs or [pair for pair in possible(done, args.only) if bench.mounted or pair[0] != "full shm"]
    faults = [fault for fault in plan(len(args.pairs) or args.faults, args.seed, pairs, bool(args.pairs))
              if fault.number % args.n == args.k - 1 and (not args.numbers or fault.number in args.numbers)]
    path = args.out / f"verdicts.{part}.json"
    rows = json.loads(path.read_text()) if path.exists() else {}
    for fault in faults[part::args.jobs]:
        key = f"{args.seed} {fault.number} {fault.kind} {fault.stage}"
        if key in rows and not (args.again and rows[key]["verdict"] != "survived"):
            continue
        begun = time.monotonic()
        rows[key] = {**dataclasses.asdict(fault), **judge(bench, fault), "seconds": round(time.monotonic() - begun, 1)}
        path.with_suffix(".part").write_text(json.dumps(rows, indent=1))
        path.with_suffix(".part").replace(path)
        report(args, fault, rows[key])


def report(args: argparse.Namespace, fault: Fault, row: dict) -> None:
    print(f"{fault.number:4d} {row['verdict']:8s} {fault.kind:16s} {fault.stage:9s} {row['seconds']:5.1f} s  {row['why']}", flush=True)
    rows = verdicts(args)
    if len(rows) % 20 == 0:
        print(table(rows), flush=True)


def verdicts(args: argparse.Namespace) -> list[dict]:
    """The verdicts of all shares so far."""
    return [row for path in sorted(args.out.glob("verdicts.*.json")) for row in json.loads(path.read_text()).values()]


def table(rows: list[dict]) -> str:
    """A table of kinds x stages: survived / lost / hung; missed faults do not count."""
    stages = [stage.name for stage in STAGES if any(row["stage"] == stage.name for row in rows)]
    lines = [" " * 17 + "".join(f"{name:>9s}" for name in (*stages, "all"))]

    def cell(some: list[dict]) -> str:
        return "/".join(str(sum(row["verdict"] == verdict for row in some)) for verdict in VERDICTS[:3]) if some else "-"

    for kind in [*(kind for kind in KINDS if any(row["kind"] == kind for row in rows)), "all"]:
        of_kind = [row for row in rows if kind in ("all", row["kind"])]
        cells = [cell([row for row in of_kind if row["stage"] == stage]) for stage in stages]
        lines.append(f"{kind:17s}" + "".join(f"{text:>9s}" for text in (*cells, cell(of_kind))))
    return "\n".join(lines)


def main() -> int:
    args = options()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))   # so that cleanup runs
    if INSIDE in os.environ:
        share(args, int(os.environ[INSIDE]))
        return 0
    words = own_mounts()
    if args.jobs > 1 and not words:
        raise SystemExit("--jobs above 1 needs mounts of its own (unshare -m), which this user may not have; take --jobs 1.")
    args.out.mkdir(parents=True, exist_ok=True)
    now, kept = code_md5(), args.out / CODE
    if kept.exists() and kept.read_text() != now:
        raise SystemExit(f"{args.out}: holds a campaign of other code than what is here now; give another --out.")
    kept.write_text(now)
    for name in ALL:
        if reason := missing(name):
            print(reason)
    begun = time.monotonic()
    again = [*words, sys.executable, *sys.argv]
    if any(run_all([([*again, "--prepare"], 0)])):
        return 1
    if args.prepare:
        return 0
    for part, status in enumerate(run_all([(again, part) for part in range(args.jobs)])):
        if status:
            raise SystemExit(f"share {part} of the campaign ended early; see above, and give the same command again.")
    return conclude(args.out, verdicts(args), (time.monotonic() - begun) / 60)


def run_all(shares: list[tuple[list[str], int]]) -> list[int]:
    """Run these commands as shares of the campaign, all at once; returns their exit statuses. They end with this program."""
    running = [subprocess.Popen(words, env={**os.environ, INSIDE: str(part)}) for words, part in shares]
    try:
        return [one.wait() for one in running]
    finally:
        for one in running:
            one.terminate()


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
