"""Measures the speed of the metrics: `python3 tools/bench/metrics.py`. Prints time and peak memory next to their targets.

Every figure comes from its own process. "in memory" is the DET curve, EER, minDCF and actDCF at two priors and Cllr of 10^7
scores; "from disk" is the whole command `python3 -m sslspk.bin.metrics` on a list of VoxCeleb1-E's size.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

SCORES = 10**7
TRIALS, SPEAKERS, UTTERANCES = 580_000, 1251, 116  # VoxCeleb1-E: about as many trials, and 145,000 utterances
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in-memory", action="store_true", help="measure 10^7 scores in this process and print the seconds")
    if parser.parse_args().in_memory:
        print(*in_memory())
        return
    rows = []
    output, _, _, memory = child([os.path.abspath(__file__), "--in-memory"])
    rows.append(("10,000,000 scores in memory", *map(float, output.split()), "10", memory, "1000"))
    with tempfile.TemporaryDirectory() as folder:
        write_list(folder)
        for title, scores, options in (("no bootstrap", "scores", ["--bootstrap", "0"]),
                                       ("bootstrap of 200", "scores", []),
                                       ("bootstrap, scores in another order", "mixed", [])):
            _, seconds, cpu, memory = child(["-m", "sslspk.bin.metrics", f"{folder}/trials", f"{folder}/{scores}", *options])
            rows.append((f"{TRIALS:,} trials from disk, {title}", seconds, cpu, "5", memory, ""))
    print(f"{'':<64} {'seconds':>8} {'at most':>8} {'CPU':>6} {'peak MB':>8} {'at most':>8}")
    for title, seconds, cpu, most, memory, limit in rows:
        print(f"{title:<64} {seconds:8.2f} {most:>8} {cpu:6.2f} {memory:8.0f} {limit:>8}")


def in_memory() -> tuple[float, float]:
    """Wall and CPU seconds for all figures of 10^7 scores."""
    sys.path.insert(0, ROOT)
    from sslspk.metrics import report
    rng = np.random.default_rng(0)
    target = rng.random(SCORES) < 0.5
    scores = rng.standard_normal(SCORES)
    scores[target] += 3
    start, cpu = time.perf_counter(), time.process_time()
    report.measures(scores, target)
    return time.perf_counter() - start, time.process_time() - cpu


def child(words: list[str]) -> tuple[str, float, float, float]:
    """Standard output, wall and CPU seconds, and peak resident memory (10^6 bytes) of a Python process."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(words)} failed with status {os.waitstatus_to_exitcode(status)}")
    unit = 1 if sys.platform == "darwin" else 1024
    return output, time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6


def write_list(folder: str) -> None:
    """Write a trial list without repeated pairs, its scores in the same order, and in another order."""
    rng = np.random.default_rng(0)
    ids = [f"id{10001 + s}-{s:05d}video{n // 6:02d}-{n % 6:05d}" for s in range(SPEAKERS) for n in range(UTTERANCES)]
    target = rng.random(TRIALS) < 0.5
    enrol = rng.integers(len(ids), size=TRIALS)
    own = enrol // UTTERANCES
    speaker = np.where(target, own, (own + rng.integers(1, SPEAKERS, size=TRIALS)) % SPEAKERS)
    test = speaker * UTTERANCES + rng.integers(UTTERANCES, size=TRIALS)
    _, first = np.unique(enrol * len(ids) + test, return_index=True)
    keep = np.sort(first)
    scores = 0.1 * rng.standard_normal(TRIALS) + 0.3 * target
    pairs = [f"{ids[e]} {ids[t]} " for e, t in zip(enrol[keep].tolist(), test[keep].tolist(), strict=True)]
    labels = [f"{pair}{'target' if same else 'nontarget'}\n" for pair, same in zip(pairs, target[keep].tolist(), strict=True)]
    scored = [f"{pair}{score:.9g}\n" for pair, score in zip(pairs, scores[keep].tolist(), strict=True)]
    mixed = [scored[i] for i in rng.permutation(len(scored)).tolist()]
    for name, lines in (("trials", labels), ("scores", scored), ("mixed", mixed)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.writelines(lines)


if __name__ == "__main__":
    main()
