#!/usr/bin/env python3
"""How large the page of `sslspk report` is, and how fast it is made and opened: `python3 tools/bench/report_page.py`.

Makes systems with synthetic scores of one list, embeddings, recordings and training curves in a temporary folder, then their page. Prints
its size, the CPU seconds of making it, and, where Chromium, its driver and selenium are there (tools/install_browser.sh), the time that it
takes to open the page: loadEventEnd of its navigation timing, median of 3. At most 10 MB and 3 s are asked for.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from sslspk.io import ark, table
from sslspk.io import scores as score_file
from sslspk.io import trials as trial_list
from sslspk.metrics import report

SPEAKERS, UTTERANCES, SECONDS, RATE, STEPS = 200, 10, 4, 16000, 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", type=int, default=20)
    parser.add_argument("--trials", type=int, default=600_000)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the folder of the systems and the page there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        make(folder, args.systems, args.trials)
        cpu = page(folder, args.systems)
        print(f"{args.systems} systems, {args.trials:,} trials each")
        print(f"size      {os.path.getsize(folder / 'report.html') / 1e6:6.1f} MB (at most 10)")
        print(f"making    {cpu:6.1f} s of CPU")
        times = opening(folder / "report.html", Path(temporary) / "profile")
        if times:
            print(f"opening   {statistics.median(times):6.2f} s (at most 3; {', '.join(f'{one:.2f}' for one in times)})")
        else:
            print("opening   not measured: no chromium, chromedriver or selenium is here (tools/install_browser.sh)")


def make(folder: Path, systems: int, count: int) -> None:
    """folder/data/test with all that a list may tell, and folder/exp/system_NN."""
    rng = np.random.default_rng(0)
    data = folder / "data/test"
    data.mkdir(parents=True)
    utts = [f"id{s:05d}-v{u // 2}-{u}" for s in range(SPEAKERS) for u in range(UTTERANCES)]
    recordings(data, rng, utts)
    utt2spk = {utt: utt[:7] for utt in utts}
    table.write(data / "utt2spk", utt2spk)
    table.write(data / "spk2gender", {f"id{s:05d}": "mf"[s % 2] for s in range(SPEAKERS)})
    table.write(data / "utt2dur", {utt: f"{rng.uniform(2, 20):.2f}" for utt in utts})
    table.write(data / "utt2session", {utt: utt.rpartition("-")[0] for utt in utts})
    enrol, test = rng.integers(len(utts), size=(2, count * 5 // 4))
    same = rng.random(len(enrol)) < 0.1   # every tenth trial is drawn within one speaker
    test[same] = enrol[same] // UTTERANCES * UTTERANCES + test[same] % UTTERANCES
    rows = np.flatnonzero(enrol != test)[:count]
    names = np.array(utts)
    target = enrol[rows] // UTTERANCES == test[rows] // UTTERANCES
    trials = trial_list.Trials(names[enrol[rows]], names[test[rows]], target)
    trial_list.write(data / "trials_synthetic", *trials)
    for number in range(systems):
        system(folder, f"system_{number:02d}", trials, utts, 1.5 + 0.1 * number)


def recordings(data: Path, rng: np.random.Generator, utts: list[str]) -> None:
    """As many as there are speakers, of noise."""
    for utt in utts[::UTTERANCES]:
        with wave.open(str(data / f"{utt}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes(rng.integers(-3000, 3000, SECONDS * RATE).astype("<i2").tobytes())
    table.write(data / "wav.scp", {utt: str(data / f"{utts[number // UTTERANCES * UTTERANCES]}.wav") for number, utt in enumerate(utts)})


def system(folder: Path, name: str, trials: trial_list.Trials, utts: list[str], distance: float) -> None:
    """One system's scores, result, embeddings, training curve and configuration."""
    rng = np.random.default_rng(round(100 * distance))
    exp = folder / "exp" / name
    (exp / "scores_encoder").mkdir(parents=True)
    (exp / "emb_encoder/test").mkdir(parents=True)
    values = distance * trials.target + rng.normal(size=len(trials.target))
    score_file.write(exp / "scores_encoder/scores_trials_synthetic", trials.enrol, trials.test, values)
    words = " ".join(f"--option-{n} exp/{name}/value_{n}" for n in range(12))
    made = {"extraction": f"python3 -m sslspk.bin.extract_embeddings {words}", "scoring": f"python3 -m sslspk.bin.score {words}"}
    row = {"system": name, "weights": "encoder", "trained_on": "synthetic", "labels": "none", "commit": "abc1234", "seed": 0,
           "machine": {"threads": 2, "command": f"python3 -m sslspk.bin.train {words}"}, "trials": "data/test/trials_synthetic",
           "commands": made, "trials_md5": "0" * 32, "speakers": SPEAKERS, **report.measures(values, trials.target)}
    (exp / "scores_encoder/result_trials_synthetic.json").write_text(json.dumps(row))
    with ark.Writer(exp / "emb_encoder/test/xvector.ark", exp / "emb_encoder/test/xvector.scp") as writer:
        for utt in utts:
            writer.write(utt, rng.normal(size=192).astype(np.float32))
    figures = ({"step": step, "loss": 4 + 1 / step, "accuracy": step / STEPS, "lr": 0.1, "effective_rank": 100.0 + rng.normal()}
               for step in range(1, STEPS + 1))
    (exp / "progress.jsonl").write_text("".join(json.dumps(one) + "\n" for one in figures))
    (exp / "config.yaml").write_text(f"seed: 0\nmethod: {{name: dino, out_dim: {round(1000 * distance)}}}\n")


def page(folder: Path, systems: int) -> float:
    """Makes the page, with the curves of all systems, in a process of its own; its CPU seconds."""
    command = [sys.executable, "-m", "sslspk.cli", "report", "exp", "--curves", str(systems)]
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"sslspk report failed with status {status}")
    return usage.ru_utime + usage.ru_stime


def opening(path: Path, profile: Path) -> list[float]:
    """Seconds from the start of the navigation to the end of the load event, three times; none without a browser."""
    try:
        from selenium import webdriver
    except ImportError:
        return []
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        return []
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"):
        options.add_argument(word)
    driver = webdriver.Chrome(options, webdriver.ChromeService(chromedriver))
    try:
        times = []
        for _ in range(3):
            driver.get("about:blank")
            driver.get(path.resolve().as_uri())
            times.append(driver.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000)
        return times
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
