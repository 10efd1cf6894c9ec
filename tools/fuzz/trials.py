"""Trial lists, score files, predictions: every line counts, once, or the list is refused."""
import json
import random
from pathlib import Path

from fuzz import mutate
from fuzz.case import Case, Check, Outcome, program, said, write

TARGETS = [("s1-a", "s1-b", 1, 2.0), ("s2-a", "s2-b", 1, 1.5), ("s3-a", "s3-b", 1, 0.2)]
OTHERS = [("s1-a", "s2-b", 0, -1.0), ("s2-a", "s3-b", 0, 0.5), ("s3-a", "s1-b", 0, -2.5), ("s1-b", "s2-a", 0, -0.5)]
LIST = TARGETS + OTHERS
TRIALS = "".join(f"{label} {a} {b}\n" for a, b, label, _ in LIST)
KALDI = "".join(f"{a} {b} {'target' if label else 'nontarget'}\n" for a, b, label, _ in LIST)
SCORES = "".join(f"{a} {b} {score}\n" for a, b, _, score in LIST)
PREDICTIONS = "utt\tanger\tjoy\nu1\t0.9\t0.1\nu2\t0.2\t0.8\nu3\t0.6\t0.4\n"
LABELS = "u1 anger\nu2 joy\nu3 joy\n"


def prepare(base: Path) -> None:
    write(base / "trials", TRIALS)


def warm(base: Path) -> None:
    write("scores", SCORES)
    program("sslspk.bin.metrics", "trials", "scores")()
    _classes("", PREDICTIONS)(base).run()   # matplotlib looks for fonts, once


def _figures(targets: int, others: int) -> Check:
    """The result counts so many trials of each kind, and every figure is a number."""
    def check(outcome: Outcome) -> str | None:
        row = json.loads(Path("out.json").read_text())
        odd = [key for key, value in row.items() if isinstance(value, float) and value != value]
        if odd:
            return f"{odd[0]} is not a number"
        found = row["targets"], row["nontargets"]
        return None if found == (targets,
            others) else f"{found[0]} target and {found[1]} nontarget trials were counted, not {targets} and {others}"
    return check


def _metrics(what: str, trials: str | bytes, scores: str | bytes, counts: tuple[int, int] | None = None, must: bool = False,
             names: tuple[str, ...] = ("trials", "scores"), options: tuple[str, ...] = ()):
    def make(base: Path) -> Case:
        write("trials", trials)
        write("scores", scores)
        run = program("sslspk.bin.metrics", "--bootstrap", 5, "--json", "out.json", *options, "trials", "scores")
        return Case(what, run, _figures(*counts) if counts else None, not must, names)
    return make


def _classes(what: str, predictions: str | bytes, labels: str | bytes = LABELS, check: Check | None = None, must: bool = False):
    def make(base: Path) -> Case:
        write("p/predictions.tsv", predictions)
        write("labels", labels)
        run = program("sslspk.bin.score_classes", "--bootstrap", 0, "--labels", "labels", "p/predictions.tsv", "out")
        return Case(what, run, check, not must, ("predictions.tsv", "labels"))
    return make


def _line(index: int, text: str, of: str = TRIALS) -> str:
    lines = of.splitlines(True)
    lines[index] = text
    return "".join(lines)


COUNTS = len(TARGETS), len(OTHERS)
CRAFTED = [
    _metrics("the sound ones", TRIALS, SCORES, COUNTS, True),
    _metrics("Kaldi's form", KALDI, SCORES, COUNTS, True),
    _metrics("a pair with both labels, 0 A B and 1 A B", TRIALS + "0 s1-a s1-b\n", SCORES, names=("s1-a s1-b",)),
    _metrics("a pair with both labels, turned round", TRIALS + "0 s1-b s1-a\n", SCORES + "s1-b s1-a 2.0\n",
             names=("s1-b s1-a", "s1-a s1-b")),
    _metrics("both labels in Kaldi's form", KALDI + "s1-a s1-b nontarget\n", SCORES, names=("s1-a s1-b",)),
    _metrics("a pair twice with one label", TRIALS + "1 s1-a s1-b\n", SCORES, (4, 4)),
    _metrics("a pair with two scores", TRIALS, SCORES + "s1-a s1-b 0.1\n", names=("scores",)),
    _metrics("a pair twice with one score", TRIALS, SCORES + "s1-a s1-b 2.0\n", COUNTS),
    _metrics("a score missing", TRIALS, _line(3, "", SCORES), names=("scores",)),
    _metrics("a score of no trial", TRIALS, SCORES + "s9-a s9-b 1\n", names=("scores",)),
    *[_metrics(f"a score of {text[:30]}", TRIALS, _line(1, f"s2-a s2-b {text}\n", SCORES), counts, names=("scores",))
      for text, counts in (("nan", None), ("inf", None), ("1e999", None), ("0x10", None), ("1_0", None), ("1,5", None), ("", None),
          ("-", None),
                           ("A" * 5000, None), ("9" * 5000, None), ("1.5f", None), ("٣", None), ("1e-400", COUNTS), ("+1.5", COUNTS),
                           (".5", COUNTS), ("1d0", None),
                           ("True", None), ("None", None), ("1.5 # note", None), ("1.5\u00a0", None), ("1e308", COUNTS))],
    *[_metrics(f"a label of {text[:30]!r}", _line(2, f"{text} s3-a s3-b\n"), SCORES, names=("trials",))
      for text in ("2", "-1", "01", "1.0", "true", "target", "yes", "A" * 5000, "١", "\x01", "+1")],
    _metrics("two forms in one list", TRIALS + "s1-a s2-a nontarget\n", SCORES + "s1-a s2-a 0\n", names=("trials",)),
    _metrics("target written Target", KALDI.replace(" target", " Target"), SCORES, names=("trials",)),
    _metrics("an id called target", KALDI.replace("s1-a", "target"), SCORES.replace("s1-a", "target"), COUNTS),
    _metrics("an id called 1", TRIALS.replace("s1-a", "1"), SCORES.replace("s1-a", "1"), COUNTS),
    _metrics("no target trial", "".join(TRIALS.splitlines(True)[3:]), "".join(SCORES.splitlines(True)[3:])),
    _metrics("no nontarget trial", "".join(TRIALS.splitlines(True)[:3]), "".join(SCORES.splitlines(True)[:3])),
    _metrics("one trial", "1 a b\n", "a b 1\n"),
    _metrics("an empty list", "", SCORES, names=("trials",)), _metrics("empty scores", TRIALS, "", names=("scores",)),
    _metrics("a list of blank lines", "\n\n\n", SCORES, names=("trials",)),
    _metrics("blank lines inside", TRIALS.replace("\n", "\n\n", 3), SCORES, COUNTS, names=("trials",)),
    _metrics("blank lines at the end", TRIALS + "\n\n", SCORES + "\n", COUNTS),
    _metrics("a byte order mark", "\ufeff" + TRIALS, "\ufeff" + SCORES, COUNTS),
    _metrics("CRLF", TRIALS.replace("\n", "\r\n"), SCORES.replace("\n", "\r\n"), COUNTS),
    _metrics("CR alone", TRIALS.replace("\n", "\r"), SCORES, names=("trials",)),
    _metrics("tabs", TRIALS.replace(" ", "\t"), SCORES.replace(" ", "\t"), COUNTS),
    _metrics("UTF-16", TRIALS.encode("utf-16"), SCORES, names=("trials",)),
    _metrics("latin-1 ids", TRIALS.replace("s1-a", "é").encode("latin-1"), SCORES.replace("s1-a", "é").encode("latin-1"),
        names=("trials",)),
    _metrics("ids in two forms of Unicode", TRIALS.replace("s1-a", "é"), SCORES.replace("s1-a", "e\u0301"), names=("scores",)),
    _metrics("U+00A0 inside an id", TRIALS.replace("s1-a", "s1\u00a0a"), SCORES.replace("s1-a", "s1\u00a0a"), COUNTS),
    _metrics("a zero byte inside an id", TRIALS.replace("s1-a", "s1\0a"), SCORES.replace("s1-a", "s1\0a"), names=("trials",)),
    _metrics("zero bytes at the end", TRIALS + "\0" * 512, SCORES, names=("trials",)),
    _metrics("scores with zero bytes at the end", TRIALS, SCORES + "\0" * 512, names=("scores",)),
    _metrics("four columns", TRIALS.replace("\n", " x\n"), SCORES, names=("trials",)),
    _metrics("two columns, no labels", "".join(f"{a} {b}\n" for a, b, *_ in LIST), SCORES, names=("trials",)),
    _metrics("an id of 100,000 letters", TRIALS.replace("s1-a", "A" * 100000), SCORES.replace("s1-a", "A" * 100000), COUNTS),
    _metrics("an id of 100,000 letters with no score", TRIALS.replace("s1-a", "A" * 100000), SCORES),
    _metrics("one id of 30,000 letters in 30,000 lines", "".join(f"{i % 2} a{i} b{i}\n"
        for i in range(30000)) + "1 " + "A" * 30000 + " b\n",
             "".join(f"a{i} b{i} {i % 7}\n" for i in range(30000)) + "A" * 30000 + " b 1\n", (15001, 15000)),
    _metrics("an id that looks like a command", TRIALS.replace("s1-a", "$(touch${IFS}CANARY)"),
        SCORES.replace("s1-a", "$(touch${IFS}CANARY)"), COUNTS),
    _metrics("a header line", "label enrol test\n" + TRIALS, SCORES, names=("trials",)),
    _metrics("all scores equal", TRIALS, "".join(f"{a} {b} 1\n" for a, b, *_ in LIST), COUNTS),
    _metrics("scores cut in the last number", TRIALS, SCORES[:-3], names=("scores",)),
    _metrics("a list cut in the last id", TRIALS[:-2], SCORES, names=("trials", "scores")),
    _metrics("a list that is a gzip", b"\x1f\x8b\x08\0" + bytes(range(256)), SCORES, names=("trials",)),
    _metrics("--bootstrap of 10^18", TRIALS, SCORES, options=("--bootstrap", "1" + "0" * 18), names=("bootstrap",)),
    _metrics("--bootstrap of 5000 digits", TRIALS, SCORES, options=("--bootstrap", "9" * 5000), names=("bootstrap",)),
    _metrics("--bootstrap of an Arabic three", TRIALS, SCORES, options=("--bootstrap", "²"), names=("bootstrap",)),
    _metrics("--seed -1", TRIALS, SCORES, options=("--seed", "-1"), names=("seed",)),
    _metrics("--seed of 5000 letters", TRIALS, SCORES, options=("--seed", "A" * 5000), names=("seed",)),
    _metrics("--seed 10^40", TRIALS, SCORES, COUNTS, options=("--seed", "1" + "0" * 40), names=("seed",)),
    _classes("sound predictions", PREDICTIONS, LABELS, said("WA"), True),
    _classes("a label twice in the head", PREDICTIONS.replace("joy\n", "anger\n", 1)),
    _classes("posteriors that do not sum to 1", PREDICTIONS.replace("0.9", "0.5")),
    _classes("a NaN posterior", PREDICTIONS.replace("0.9", "nan")),
    _classes("underscores in a number", PREDICTIONS.replace("0.9\t0.1", "1_0\t-9")),
    _classes("an utterance twice", PREDICTIONS + "u3\t0.6\t0.4\n"),
    _classes("an utterance without label", PREDICTIONS + "u4\t0.6\t0.4\n"),
    _classes("a label of no class", PREDICTIONS, LABELS.replace("u3 joy", "u3 fear")),
    _classes("a label of 5000 letters", PREDICTIONS, LABELS.replace("u3 joy", "u3 " + "A" * 5000)),
    _classes("a class of 5000 letters", PREDICTIONS.replace("joy", "A" * 5000)),
    _classes("predictions in latin-1", PREDICTIONS.replace("joy", "é").encode("latin-1")),
    _classes("predictions with a byte order mark", "\ufeff" + PREDICTIONS, LABELS, said("WA")),
    _classes("predictions with zero bytes", PREDICTIONS + "\0" * 64),
    _classes("predictions cut in a number", PREDICTIONS[:-2]),
    _classes("predictions, CRLF", PREDICTIONS.replace("\n", "\r\n"), LABELS, said("WA")),
    _classes("predictions with blanks for tabs", PREDICTIONS.replace("\t", " ")),
    _classes("a head of 100,000 classes", "utt\t" + "\t".join(f"c{i}"
        for i in range(100000)) + "\nu1\t" + "\t".join(["0.00001"] * 100000) + "\n"),
    _classes("predictions that are empty", ""),
    _classes("a blank line inside", PREDICTIONS.replace("u2", "\nu2")),
]


def mutated(base: Path, rng: random.Random) -> Case:
    """A damaged list or score file, or an awkward field; what must hold is counted by a second reader."""
    which = rng.choice(("trials", "scores"))
    text = {"trials": rng.choice((TRIALS, KALDI)), "scores": SCORES}
    if rng.random() < 0.5:
        what, damaged = mutate.damage(rng, text[which].encode())
    else:
        lines = text[which].splitlines()
        row, field = rng.randrange(len(lines)), rng.randrange(3)
        words = lines[row].split()
        words[field] = rng.choice(mutate.AWKWARD)
        lines[row] = " ".join(words)
        what = f"field {field + 1} of line {row + 1} is {words[field][:40]!r}"
        damaged = ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")
    content = {**{name: value.encode() for name, value in text.items()}, which: damaged}
    return _metrics(f"{which}: {what}", content["trials"], content["scores"])(base)._replace(accepted=_counted(content),
        names=("trials", "scores"))


def _counted(content: dict[str, bytes]) -> Check:
    """Accepted only where a slow reader finds every pair scored, once, with one label, and counts the same."""
    def rows(data: bytes) -> list[list[str]]:
        text = data.decode("utf-8").removeprefix("\ufeff")
        return [[word for word in map(str.strip, line.replace("\t", " ").split(" ")) if word] for line in text.rstrip().split("\n")]

    def check(outcome: Outcome) -> str | None:
        try:
            trials, scores = rows(content["trials"]), rows(content["scores"])
        except UnicodeDecodeError:
            return "exit 0 although it is no UTF-8"
        if b"\0" in content["trials"] + content["scores"] or any(len(row) != 3 for row in trials + scores):
            return "exit 0 although a line has not three fields, or holds a zero byte"
        labels: dict[tuple, set] = {}
        for row in trials:
            a, b, label = row if row[2] in ("target", "nontarget") else (row[1], row[2], row[0])
            labels.setdefault((a, b), set()).add({"1": True, "0": False, "target": True, "nontarget": False}.get(label))
        if any(len(seen) > 1 or None in seen for seen in labels.values()):
            return "exit 0 although a pair has both labels, or one that is none"
        if labels.keys() != {(a, b) for a, b, _ in scores}:
            return "exit 0 although trials and scores are of other pairs"
        wanted = [sum(seen == {kind} for seen in labels.values()) for kind in (True, False)]
        return _figures(*wanted)(outcome) if len(trials) == len(labels) else None
    return check
