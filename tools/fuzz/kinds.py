"""Folders, FIFOs, devices, links and unreadable files in the place of every file that a program reads."""
import json
import os
import random
import runpy
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from fuzz import archives, conf, launchers, results, tables, trials
from fuzz.case import Case, Outcome, anything, as_program, program, write

NOBODY = 65534


def prepare(base: Path) -> None:
    for family in (tables, archives, results, conf):
        (base / family.__name__.rpartition(".")[2]).mkdir()
        os.chdir(base / family.__name__.rpartition(".")[2])
        family.prepare(Path.cwd())


def warm(base: Path) -> None:
    for name in ROLES:
        place = base / "warm" / name.replace("/", "-")
        place.mkdir(parents=True, exist_ok=True)
        os.chdir(place)
        done = ROLES[name][1](base)()
        if done.status or done.error:
            raise SystemExit(f"{name}: the sound input is refused: {done}")


def _data(base: Path) -> None:
    tables._make(base / "tables", {"feats.scp": (base / "tables/feats.scp").read_text(), "label_source": "pseudo\n"})
    write("list", "s1-u1\ns2-u1\n")


def _scored(base: Path) -> None:
    write("trials", trials.TRIALS)
    write("scores", trials.SCORES)
    write("utt2spk", "".join(f"s{i}-{x} s{i}\n" for i in (1, 2, 3) for x in "ab"))
    write("e/xvector.scp", (base / "results/xvector.scp").read_text().replace(f"{base}/results/", "e/"))
    shutil.copy(base / "results/emb.ark", "e/emb.ark")
    write("p.json", (base / "results/provenance.json").read_bytes())
    shutil.copy(base / "results/calibration.json", "cal.json")
    write("p/predictions.tsv", trials.PREDICTIONS)
    write("p/labels", trials.LABELS)


def _after(make: Callable[[Path], object], run: Callable[[Path], Callable[[], Outcome]]):
    def both(base: Path) -> Callable[[], Outcome]:
        make(base)
        return run(base)
    return both


def _of(make: Callable[[Path], object], *words: object):
    return _after(make, lambda base: program(*words))


def _function(call: Callable[[], object]) -> Callable[[], Outcome]:
    def main() -> None:
        print(call())
    return lambda: as_program("call", main, [])


def _ivector() -> object:
    from sslspk.ivector import extractor
    return extractor.load(Path("exp"))[3]


def _packed(base: Path) -> None:
    _data(base)
    wav = "".join(f"{utt} wav/{utt}.wav\n" for utt in tables.UTTS)
    write("data/wav.scp", wav)
    for utt in tables.UTTS:
        write(f"wav/{utt}.wav", (base / f"tables/wav/{utt}.wav").read_bytes())


def _table(base: Path) -> Callable[[], Outcome]:
    write("exp/dino/scores_x/result_trials_test.json", json.dumps(results.ROW))
    write("exp/dino/config.yaml", "method: {evaluate: teacher}\n")
    root = Path(os.environ["FUZZ_ROOT"])
    return lambda: as_program("show_table.py", lambda: runpy.run_path(str(root / "local/show_table.py"))["main"](),
        ["--out", "R.md", "exp"])


VALIDATE = ("sslspk.bin.validate_data_dir", "--no-feats", "--check-files", "data")
METRICS = ("sslspk.bin.metrics", "--bootstrap", 0, "--utt2spk", "utt2spk", "trials", "scores")
SCORE = ("sslspk.bin.score", "--bootstrap", 0, "--provenance", "p.json", "trials", "e", "e", "out")
APPLY = ("sslspk.bin.apply_calibration", "--same-list", "true", "--bootstrap", 0, "cal.json", "trials", "a/scores", "out")
CLASSES = ("sslspk.bin.score_classes", "--bootstrap", 0, "--labels", "p/labels", "p/predictions.tsv", "out")
# what is replaced -> the file, and the program that reads it
ROLES: dict[str, tuple[str, Callable]] = {
    "utt2spk, validate": ("data/utt2spk", _of(_data, *VALIDATE)), "text, validate": ("data/text", _of(_data, *VALIDATE)),
    "wav.scp, validate": ("data/wav.scp", _of(_data, *VALIDATE)),
    "utt2spk, fix": ("data/utt2spk", _of(_data, "sslspk.bin.fix_data_dir", "data")),
    "utt2dur, fix": ("data/utt2dur", _of(_data, "sslspk.bin.fix_data_dir", "data")),
    "a list, subset": ("list", _of(_data, "sslspk.bin.subset_data_dir", "--utt-list", "list", "data", "out")),
    "text, subset": ("data/text", _of(_data, "sslspk.bin.subset_data_dir", "--utt-list", "list", "data", "out")),
    "label_source, subset": ("data/label_source", _of(_data, "sslspk.bin.subset_data_dir", "--utt-list", "list", "data", "out")),
    "utt2spk, split": ("data/utt2spk", _of(_data, "sslspk.bin.split_data", "data", 2)),
    "utt2spk, combine": ("data/utt2spk", _of(_data, "sslspk.bin.combine_data", "out", "data")),
    "a recording, validate": ("wav/s1-u2.wav", _of(_packed, *VALIDATE)),
    "a recording, pack": ("wav/s1-u2.wav", _of(_packed, "sslspk.bin.pack_audio", "data", "w.ark", "w.scp")),
    "wav.scp, pack": ("data/wav.scp", _of(_packed, "sslspk.bin.pack_audio", "data", "w.ark", "w.scp")),
    "trials, metrics": ("trials", _of(_scored, *METRICS)), "scores, metrics": ("scores", _of(_scored, *METRICS)),
    "utt2spk, metrics": ("utt2spk", _of(_scored, *METRICS)),
    "trials, score": ("trials", _of(_scored, *SCORE)), "xvector.scp, score": ("e/xvector.scp", _of(_scored, *SCORE)),
    "an archive, score": ("e/emb.ark", _of(_scored, *SCORE)), "provenance, score": ("p.json", _of(_scored, *SCORE)),
    "predictions": ("p/predictions.tsv", _of(_scored, *CLASSES)), "labels of classes": ("p/labels", _of(_scored, *CLASSES)),
    "a calibration": ("cal.json", _after(lambda base: (_scored(base), os.makedirs("a", exist_ok=True), shutil.copy("scores", "a/scores")),
        lambda base: program(*APPLY))),
    "a configuration": ("x.yaml", _after(lambda base: conf._conf(base / "conf", conf.SOUND),
        lambda base: program(conf.SHOW, "--conf", "x.yaml"))),
    "the base of a configuration": ("mini.yaml", _after(lambda base: conf._conf(base / "conf", conf.SOUND), lambda base: program(conf.SHOW,
        "--conf", "x.yaml"))),
    "slurm.conf": ("conf/slurm.conf", _after(lambda base: write("conf/slurm.conf", launchers.SOUND),
        lambda base: launchers._expand("conf/slurm.conf"))),
    "an i-vector model": ("exp/final.npz", _after(lambda base: write("exp/final.npz", (base / "results/ivector/final.npz").read_bytes()),
        lambda base: _function(_ivector))),
    "a result": ("exp/dino/scores_x/result_trials_test.json", _table),
    "the configuration beside a result": ("exp/dino/config.yaml", _table),
}


def _socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(path)


KINDS: dict[str, Callable[[str], object]] = {
    "a folder": os.mkdir, "a FIFO": os.mkfifo, "/dev/zero": lambda path: os.symlink("/dev/zero", path),
    "/dev/null": lambda path: os.symlink("/dev/null", path), "a link to itself": lambda path: os.symlink(os.path.basename(path), path),
    "a link to nowhere": lambda path: os.symlink("nowhere", path), "a socket": _socket, "unreadable": lambda path: None,
    "of 5 GB of zeros": lambda path: _hole(path, 5 << 30), "/dev/urandom": lambda path: os.symlink("/dev/urandom", path),
    "a file inside a file": lambda path: None, "a terminal": lambda path: os.symlink("/dev/ptmx", path),
}


def _hole(path: str, size: int) -> None:
    with open(path, "wb") as file:
        file.truncate(size)


def _replaced(role: str, kind: str) -> Callable[[Path], Case]:
    def make(base: Path) -> Case:
        path, build = ROLES[role]
        run = build(base)
        if kind == "unreadable":
            os.chmod(path, 0)
            run = _as_nobody(run)
        elif kind == "a file inside a file" and "/" in path:
            shutil.rmtree(path.partition("/")[0])
            write(path.partition("/")[0], "x\n")
        else:
            os.unlink(path)
            KINDS[kind](path)
        gone = kind == "a link to nowhere" and ("label_source" in path or "config.yaml" in path)
        gone = gone or (kind == "of 5 GB of zeros" and role == "a recording, validate")   # looks whether files are there, not into them
        names = (os.path.basename(path), path.partition("/")[0])
        return Case(f"{role}: {kind}", run, anything if gone else None, True, names)
    return make


def _as_nobody(run: Callable[[], Outcome]) -> Callable[[], Outcome]:
    """Root reads everything, so the program runs as somebody else."""
    def other() -> Outcome:
        for folder, _, _ in os.walk("."):
            os.chmod(folder, 0o777)
        if os.getuid() == 0:
            os.seteuid(NOBODY)
        try:
            outcome = run()
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
        return outcome._replace(err=outcome.err.replace("free some space", "free some space\n(a missing permission is no full disk)\n"))
    return other


CRAFTED = [_replaced(role, kind) for kind in ("a folder", "a FIFO", "/dev/zero", "unreadable") for role in ROLES]


def mutated(base: Path, rng: random.Random) -> Case:
    """Any role and any kind."""
    return _replaced(rng.choice(list(ROLES)), rng.choice(list(KINDS)))(base)
