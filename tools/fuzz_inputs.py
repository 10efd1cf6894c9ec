#!/usr/bin/env python3
"""Gives the toolkit mutated and crafted inputs, and checks that each is read correctly or refused in one sentence.

usage: fuzz_inputs.py --inputs 300 --seed 1 [--families conf,audio] [--root CHECKOUT] [--only FAMILY[:NUMBER] --keep DIR]

The right outcome of every input is known: it is accepted with a certain result, or refused by one sentence that names file or key. WRONG
is a traceback, a command that is executed, a file written outside the scratch folder, 20 CPU seconds or 2 GB, and exit 0 with another
result. Each family runs in its own process under an audit hook. Seed, family and number decide an input. Exit 1 if any is WRONG.
"""
import argparse
import collections
import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
import sslspk  # noqa: F401  names a missing package
from sslspk import progress

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from fuzz.child import FAMILIES
from fuzz.verdict import KINDS, OK, REFUSED, WRONG

TOOLS = Path(__file__).resolve().parent
CPU_SECONDS, WALL_SECONDS = 40, 300   # above the child's own limits, for hangs outside Python
TICKS = os.sysconf("SC_CLK_TCK")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--inputs", type=int, default=300, help="inputs of each family (default %(default)s)")
    add("--seed", type=int, default=0, help="decides the mutations (default 0)")
    add("--families", default=",".join(FAMILIES), help="only these, separated by commas (default: all)")
    add("--only", metavar="FAMILY[:NUMBER]", help="only this family, or this input of it")
    add("--keep", type=Path, metavar="DIR", help="make and keep the inputs in DIR, and print what the program printed")
    add("--root", type=Path, default=TOOLS.parent, help="the checkout to test (default: this one)")
    add("--show", type=int, default=5, metavar="N", help="wrong inputs to print of each kind and family (default %(default)s)")
    add("--json", type=Path, metavar="FILE", help="write all verdicts to FILE")
    args = parser.parse_args()
    args.families, args.number = args.families.split(","), None
    if args.only:
        name, _, number = args.only.partition(":")
        args.families, args.number = [name], int(number) if number else None
    unknown = set(args.families) - set(FAMILIES)
    if unknown or args.inputs < 1:
        parser.error(f"the families are {', '.join(FAMILIES)}, and --inputs is a whole number from 1 on")
    return args


def family(args: argparse.Namespace, name: str, scratch: Path, bar) -> list[dict]:
    """The verdicts on all inputs of a family; if a process dies or hangs, another one does the rest."""
    todo = [args.number] if args.number is not None else list(range(args.inputs))
    rows: list[dict] = []
    while todo:
        done, reason = child(args, name, scratch / name, todo, bar)
        rows += done
        todo = todo[len(done):]
        if todo and reason:
            rows.append({"number": todo.pop(0), "what": "?", "verdict": WRONG, "kind": "hang", "why": reason})
            bar.update()
        elif todo:
            tail = (scratch / f"{name}.noise").read_text(errors="replace")[-1000:] if not args.keep else "see above"
            raise SystemExit(f"the process of family {name} ended before its first input: {tail}")
    return rows


def child(args: argparse.Namespace, name: str, scratch: Path, todo: list[int], bar) -> tuple[list[dict], str]:
    """Run a process until it has done `todo`, dies or hangs; returns its verdicts, and what happened to the next input."""
    reading, writing = os.pipe()
    words = [args.root.resolve(), name, args.seed, scratch.resolve(), "keep" if args.keep else "-", ",".join(map(str, todo)), writing]
    path = f"{args.root.resolve()}:{TOOLS}"
    environment = {**os.environ, "PYTHONPATH": path, "LC_ALL": "C", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    noise = None if args.keep else open(scratch.parent / f"{name}.noise", "ab")  # noqa: SIM115  # output of C libraries
    process = subprocess.Popen([sys.executable, "-m", "fuzz.child", *map(str, words)], pass_fds=[writing], env=environment, cwd=TOOLS,
                               stdin=subprocess.DEVNULL, stderr=noise, start_new_session=True)
    os.close(writing)
    rows, begun, reason, text = [], None, "", b""
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        while not reason:
            if selector.select(1):
                fresh = os.read(reading, 1 << 16)
                if not fresh:
                    break
                *lines, text = (text + fresh).split(b"\n")
                for row in map(json.loads, lines):
                    begun = (time.monotonic(), cpu(process.pid)) if "begin" in row else None
                    if "verdict" in row:
                        rows.append(row)
                        bar.update()
            elif begun and cpu(process.pid) - begun[1] > CPU_SECONDS:
                reason = f"killed after {CPU_SECONDS} CPU seconds"
            elif begun and time.monotonic() - begun[0] > WALL_SECONDS:
                reason = f"killed after {WALL_SECONDS} s"
    os.close(reading)
    if reason:
        process.kill()
    status = process.wait()
    if begun and not reason:
        reason = f"the process died with status {status}"
    return rows, reason


def cpu(pid: int) -> float:
    """CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def table(found: dict[str, list[dict]]) -> str:
    lines = [f"{'family':12s}{'tried':>8s}{'ok':>8s}{'refused':>9s}{'WRONG':>8s}   " + " ".join(f"{kind:>10s}" for kind in KINDS)]
    everything = {**found, "all": [row for rows in found.values() for row in rows]}
    for name, rows in everything.items():
        count = collections.Counter(row["verdict"] for row in rows)
        kinds = collections.Counter(row["kind"] for row in rows)
        lines.append(f"{name:12s}{len(rows):8d}{count[OK]:8d}{count[REFUSED]:9d}{count[WRONG]:8d}   "
                     + " ".join(f"{kinds[kind] or '-':>10}" for kind in KINDS))
    return "\n".join(lines)


def first_wrong(args: argparse.Namespace, found: dict[str, list[dict]]) -> str:
    """Some wrong inputs of each kind and family, with the command that replays them."""
    lines = []
    for name, rows in found.items():
        shown: collections.Counter = collections.Counter()
        for row in rows:
            shown[row["kind"]] += row["verdict"] == WRONG
            if row["verdict"] == WRONG and shown[row["kind"]] <= args.show:
                lines += [f"{name}:{row['number']} {row['kind']}: {row['what']}", f"    {row['why']}"]
    if lines:
        lines.append(f"replay one: python3 tools/fuzz_inputs.py --seed {args.seed} --only FAMILY:NUMBER --keep DIR")
    return "\n".join(lines)


def main() -> int:
    args = options()
    scratch = args.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    scratch.mkdir(parents=True, exist_ok=True)
    scratch.chmod(0o755)
    found: dict[str, list[dict]] = {}
    try:
        with progress.bar(len(args.families) * (1 if args.number is not None else args.inputs), "inputs") as bar:
            for name in args.families:
                bar.set_description(name)
                (scratch / name).mkdir(exist_ok=True)
                found[name] = family(args, name, scratch, bar)
    finally:
        if not args.keep:
            shutil.rmtree(scratch, ignore_errors=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))
    print(first_wrong(args, found))
    print(table(found))
    return int(any(row["verdict"] == WRONG for rows in found.values() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
