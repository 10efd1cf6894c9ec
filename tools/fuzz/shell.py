"""Words that a step hands to its program through run.pl: they arrive as they were given, or the step refuses them; none is run."""
import os
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from fuzz.case import Case, Check, Hung, Outcome, write
from fuzz.trials import TRIALS

STARTS = True   # real shells run here
SECONDS = 150.0
WORDS = (
    "x$(touch${IFS}CANARY)", "$(touch CANARY)", "`touch CANARY`", "x;touch CANARY", "x&touch CANARY", "x|touch CANARY", "x&&touch CANARY",
    "x\ntouch CANARY\n", "a>CANARY", "2>CANARY", "<(touch CANARY)", "'$(touch CANARY)'",
    '"$(touch CANARY)"', "';touch CANARY;'", '";touch CANARY;"', "\\$(touch CANARY)", "R&D", "e;x", "it's", 'say "x"', "{a,b}",
    '{"a": 1, "b": [1, 2]}', "*", "?", "[ab]", "~", "~root", "$HOME", "${IFS}x", "\\", "a\\nb", "a\\", "a\nb",
    "a\tb", " x", "x ", "a b", "a  b", "-n", "--nj", "--", "!x", "#x", "a #b", ">x", "(x)", "$((1+1))", "JOB", "JOB1", "xJOBx", "NODE",
    "$JOB", "é", "\u00a0", "\udcff", "%s", "x=y", "=", ",", "a'b\"c`d$e", "'", '"', "''", '""',
    "A" * 3000, "\x07", "a\rb", "1:30", "..", "a/../b", "$@", "$1", "!!", "\x1b[31m", "@", "+", "^x", "x:3", "|", "||", "touch CANARY |",
    "$'\\x41'", "{1..3}", "**", "%", "\u2028", "a'b c", 'a"b c', "a'b\"c d", "$(touch CANARY) \"'",
)
RECORDER = """import os, sys
words = sys.orig_argv
if words[1:2] == ["-m"] and words[2] == os.environ.get("FUZZ_PROGRAM") and "--finished" not in words and "options" not in words:
    with open(os.environ["FUZZ_RECORD"], "ab") as file:
        file.write(b"\\0".join(os.fsencode(word) for word in words[3:]) + b"\\0\\0\\n")
    os._exit(0)
"""


def prepare(base: Path) -> None:
    write(base / "python/sitecustomize.py", RECORDER)


def warm(base: Path) -> None:
    pass


def _recipe() -> None:
    root = Path(os.environ["FUZZ_ROOT"])
    for name in ("steps", "utils", "local"):
        os.symlink(root / name, name)
    write("path.sh", f". {root}/egs/voxceleb/path.sh\n")
    write("conf/c.yaml", "method: {name: dino}\n")


def _data(folder: str) -> None:
    wav = "".join(f"{utt} {utt}.wav\n" for utt in ("u1", "u2"))
    for name, text in (("wav.scp", wav), ("utt2spk", "u1 s\nu2 s\n"), ("spk2utt", "s u1 u2\n"), ("utt2num_samples", "u1 9\nu2 9\n")):
        write(os.path.join(folder, name), text)


def _step(base: Path, program: str, *words: str) -> Callable[[], Outcome]:
    """A step; its status is 0 where its program was started, and the output is what the program was given, word by word."""
    def run() -> Outcome:
        environment = {**os.environ, "PYTHONPATH": f"{base}/python:{os.environ['PYTHONPATH']}", "FUZZ_PROGRAM": program,
            "FUZZ_RECORD": os.path.abspath("record")}
        process = subprocess.Popen(["bash", "-c", 'ulimit -t 20; exec "$@"', "bash", *words], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=environment, start_new_session=True)
        try:
            out, err = (text.decode("utf-8", "surrogateescape") for text in process.communicate(timeout=SECONDS))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return Outcome(1, "", "", Hung(f"the step did not end in {SECONDS:g} s"))
        started = os.path.exists("record")
        return Outcome(0 if started else process.returncode or 1, Path("record").read_bytes().decode("utf-8", "surrogateescape") if started
            else out, err)
    return run


def _has(*words: str) -> Check:
    """The program was given these words, one after the other; --set=x is --set x."""
    wanted = list(words)

    def check(outcome: Outcome) -> str | None:
        for call in outcome.out.split("\0\0\n")[:-1]:
            found = [part for word in call.split("\0") for part in (["--set", word[6:]] if word.startswith("--set=") else [word])]
            if not any(found[i:i + len(wanted)] == wanted for i in range(len(found))):
                return f"the program got {found!r:.260}, in which {wanted!r:.80} is not"
        return None
    return check


def _set(word: str):
    def make(base: Path) -> Case:
        _recipe()
        _data("data")
        item = f"reproduces={word}"
        run = _step(base, "sslspk.bin.train", "steps/train.sh", "--conf", "conf/c.yaml", "--set", item, "data", "exp")
        return Case(f"train.sh --set {item!r:.100}", run, _has("--set", item))
    return make


def _exp(word: str):
    def make(base: Path) -> Case:
        _recipe()
        _data("data")
        run = _step(base, "sslspk.bin.train", "steps/train.sh", "--conf", "conf/c.yaml", "data", f"exp/{word}")
        return Case(f"train.sh ... exp/{word!r:.100}", run, _has("data", f"exp/{word}"))
    return make


def _named(word: str, path: str, make_it: Callable[[str], object], words: Callable[[str], tuple[str, ...]], program: str,
        has: Callable[[str], tuple[str, ...]], must: bool = False):
    """A file or folder with that word in its name, given to a step."""
    def make(base: Path) -> Case:
        _recipe()
        name = path.replace("WORD", word)
        if word in (".", "..") or "\0" in word or len(os.fsencode(os.path.basename(name))) > 240 or word.endswith("/"):
            name = path.replace("WORD", "plain")
        make_it(name)
        return Case(f"{words('NAME')[0]} with {name!r:.100}", _step(base, program, *words(name)), _has(*has(name)), not must)
    return make


def _data_named(word: str):
    def make_it(name: str) -> None:
        _data(name)
    return _named(word, "data/WORD", make_it, lambda name: ("steps/train.sh", "--conf", "conf/c.yaml", name, "exp"), "sslspk.bin.train",
        lambda name: (name, "exp"))


def _conf_named(word: str):
    def make_it(name: str) -> None:
        _data("data")
        write(name, "method: {name: dino}\n")
    return _named(word, "conf/WORD.yaml", make_it, lambda name: ("steps/train.sh", "--conf", name, "data", "exp"), "sslspk.bin.train",
        lambda name: ("--conf", name))


def _scores(path: str, words: Callable[[str], tuple[str, ...]], has: Callable[[str], tuple[str, ...]]):
    def of(word: str):
        def make_it(name: str) -> None:
            write("trials", TRIALS)
            write("e/xvector.scp", "s1-a x.ark:5\n")
            if "trials" in path:
                write(name, TRIALS)
            elif "emb" in path:
                write(f"{name}/xvector.scp", "s1-a x.ark:5\n")
        return _named(word, path, make_it, words, "sslspk.bin.score", has)
    return of


def _launcher(word: str):
    """run.pl itself: a log of that name, and a word that Kaldi's rule quotes since it holds a blank."""
    def make(base: Path) -> Case:
        _recipe()
        quoted = f"x {word}"
        run = _step(base, "sslspk.bin.nothing", "utils/run.pl", "JOB=1:1", "log/x.JOB.log", "python3", "-m", "sslspk.bin.nothing",
            quoted.replace("JOB", "NUMBER"))
        plain = not set('"$`\\') & set(word) and "\n" not in word
        return Case(f"run.pl ... {quoted!r:.100}", run, _has(quoted.replace("JOB", "NUMBER")) if plain else (lambda outcome: None), True)
    return make


TRIALS_NAMED = _scores("data/trials_WORD", lambda name: ("steps/score.sh", name, "e", "e", "out"), lambda name: (name, "e", "e", "out"))
ENROL_NAMED = _scores("emb/WORD", lambda name: ("steps/score.sh", "trials", name, "e", "out"), lambda name: ("trials", name, "e", "out"))
OUT_NAMED = _scores("out/WORD", lambda name: ("steps/score.sh", "trials", "e", "e", name), lambda name: ("trials", "e", "e", name))
PLACES = (_set, _exp, _data_named, _conf_named, TRIALS_NAMED, ENROL_NAMED, OUT_NAMED)
CRAFTED = [place(word) for word in WORDS[:16] for place in (_set, _exp)] + [place(WORDS[i % len(WORDS)])
    for i in range(16, len(WORDS) + 16) for place in (_set, PLACES[1 + i % 6])][:110]


def mutated(base: Path, rng: random.Random) -> Case:
    """Any word, or two of them and a blank between, at any place."""
    word = rng.choice(WORDS)
    if rng.random() < 0.4:
        word += rng.choice(("", " ", "/", "-")) + rng.choice(WORDS)
    word = word[:3000].replace("\0", "")
    return rng.choice((*PLACES, _set, _launcher))(word.replace("/", "_") if rng.random() < 0.8 else word)(base)
