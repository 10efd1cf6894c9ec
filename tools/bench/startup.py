#!/usr/bin/env python3
"""Times `--help` of every program and every step: wall seconds, the best of three, and whether it is under 0.5."""
import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    programs = sorted(path.stem for path in (ROOT / "sslspk/bin").glob("*.py") if path.name != "__init__.py")
    commands = {f"sslspk.bin.{name}": [sys.executable, "-m", f"sslspk.bin.{name}"] for name in programs}
    commands |= {f"steps/{path.name}": [f"steps/{path.name}"] for path in sorted((ROOT / "steps").glob("*.sh"))}
    took = {name: min(seconds(words) for _ in range(args.rounds)) for name, words in commands.items()}
    for name, value in took.items():
        print(f"{name:<36} {value:6.2f} s{'  TOO SLOW' if value >= LIMIT else ''}")
    slow = sum(value >= LIMIT for value in took.values())
    print(f"{len(took) - slow} of {len(took)} under {LIMIT} s, slowest {max(took.values()):.2f} s")
    return 1 if slow else 0


def seconds(words: list[str]) -> float:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begin = time.perf_counter()
    subprocess.run([*words, "--help"], cwd=ROOT / "egs/voxceleb", env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
