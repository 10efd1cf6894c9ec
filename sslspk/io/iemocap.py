"""IEMOCAP's conventions: sessions, dialogs and turns, the label lines of EmoEvaluation, the codes of its emotions."""
import collections
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from sslspk.errors import InputError
from sslspk.io import files, prepare
from sslspk.io.survey import Source

SITE = "the SAIL group, University of Southern California"
SESSIONS = tuple(range(1, 6))
EMOTIONS = {"ang": "angry", "hap": "happy", "exc": "excited", "neu": "neutral", "sad": "sad", "fru": "frustrated",
            "fea": "fearful", "sur": "surprised", "dis": "disgusted", "oth": "other", "xxx": "undecided"}
CLASSES = ("angry", "happy", "neutral", "sad")
KINDS = {"impro": "improvised", "script": "scripted"}
LABEL = re.compile(r"\[\s*[\d.]+\s*-\s*[\d.]+\s*\]\s+(\S+)\s+(\S+)\s+\[.*\]")
TURN = re.compile(r"(?P<dialog>(?P<session>Ses\d\d)[FM]_(?P<kind>impro|script)\w+)_(?P<gender>[FM])[0-9A-Z]+")


class Turn(NamedTuple):
    """A labelled turn: names, "improvised" or "scripted", "m" or "f", the emotion in words, and file and line of the label."""

    turn: str
    speaker: str
    session: str
    kind: str
    gender: str
    emotion: str
    wav: str
    where: str

    @property
    def utt(self) -> str:
        """The id of the turn, which begins with the speaker's id, as Kaldi requires."""
        return f"{self.speaker}-{self.turn}"


def parse_classes(text: str, merge_excited: bool) -> tuple[str, ...]:
    """The emotions of --classes "angry happy ...". Raises InputError: an unknown one, fewer than two, "excited" although it is merged."""
    names = tuple(dict.fromkeys(text.split()))
    for name in names:
        if name not in EMOTIONS.values():
            raise InputError(f"--classes: {name!r} is no emotion of IEMOCAP; choose from {' '.join(EMOTIONS.values())}.")
    if len(names) < 2:
        raise InputError(f"--classes {text!r}: there is nothing to tell apart; name at least two emotions.")
    if merge_excited and ("excited" in names or "happy" not in names):
        raise InputError("--merge-excited true counts excited as happy, so that --classes must hold happy and not excited; "
                         "correct one of the two options.")
    return names


def read_labels(corpus: str) -> list[Turn]:
    """Every labelled turn of the five sessions, sorted by utterance, with or without recording.

    Raises InputError: a missing folder Session1 to Session5, a missing or empty EmoEvaluation or sentences/wav, a label line that cannot
    be parsed, a label that is not a code of IEMOCAP, a turn that is not of its dialog or session, a turn with two labels.
    """
    turns: dict[str, Turn] = {}
    for number in SESSIONS:
        for path in _evaluations(corpus, number):
            for turn in _read_evaluation(path, wav_folder(corpus, number), f"Ses{number:02d}"):
                before = turns.setdefault(turn.utt, turn)
                if before.emotion != turn.emotion:
                    raise InputError(f"{turn.where}: {turn.turn} is {turn.emotion} here and {before.emotion} at {before.where}; "
                                     "remove the wrong line.")
    return [turns[utt] for utt in sorted(turns)]


def wav_folder(corpus: str, number: int) -> str:
    """The folder of a session's recordings, one recording per turn."""
    return os.path.join(os.path.abspath(corpus), f"Session{number}", "sentences", "wav")


def unlabelled(corpus: str, turns: Iterable[Turn]) -> list[str]:
    """The recordings of turns without a label line, sorted."""
    known = {turn.wav for turn in turns}
    return [path for number in SESSIONS for path in prepare.find_audio(wav_folder(corpus, number)) if path not in known]


def choose(turns: Iterable[Turn], classes: Sequence[str], kind: str, merge_excited: bool) -> tuple[list[Turn], dict[str, int]]:
    """The turns of a kind ("improvised", "scripted" or "all") and of these classes, and the number of turns of each other emotion.

    Raises InputError: a class without a turn, a turn without its recording.
    """
    kept, others = [], collections.Counter()
    for turn in turns:
        if kind not in ("all", turn.kind):
            continue
        if merge_excited and turn.emotion == "excited":
            turn = turn._replace(emotion="happy")
        if turn.emotion in classes:
            kept.append(turn)
        else:
            others[turn.emotion] += 1
    for name in classes:
        if name not in {turn.emotion for turn in kept}:
            what = "turn" if kind == "all" else f"{kind} turn"
            raise InputError(f"no {what} of the corpus is labelled {name}; leave {name} out of --classes"
                             f"{'' if kind == 'all' else ', or choose another --kind'}.")
    for turn in kept:
        if not os.path.isfile(turn.wav):
            raise InputError(f"{turn.where}: {turn.turn} ({turn.emotion}) has no recording {turn.wav}; unpack the archive again, "
                             "or remove the line.")
    return kept, dict(sorted(others.items()))


def sources(turns: Iterable[Turn]) -> list[Source]:
    """The recordings of these turns."""
    return [Source(turn.utt, turn.speaker, turn.wav, os.path.join(turn.session, turn.turn)) for turn in turns]


def tables(turns: Mapping[str, Turn], good: Collection[Source]) -> dict[str, dict[str, str]]:
    """utt2emotion, utt2session, utt2kind and spk2gender of the good recordings; turns: by utterance."""
    mine = {source.utt: turns[source.utt] for source in good}
    return {"utt2emotion": {utt: turn.emotion for utt, turn in mine.items()},
            "utt2session": {utt: turn.session for utt, turn in mine.items()},
            "utt2kind": {utt: turn.kind for utt, turn in mine.items()},
            "spk2gender": {turn.speaker: turn.gender for turn in mine.values()}}


def _evaluations(corpus: str, number: int) -> list[str]:
    """The files of label lines of a session, without hidden files and the folders of single annotators."""
    session = os.path.join(corpus, f"Session{number}")
    folder = os.path.join(session, "dialog", "EmoEvaluation")
    for needed in (session, folder, wav_folder(corpus, number)):
        if not os.path.isdir(needed):
            raise InputError(f"IEMOCAP's session {number} was looked for in {needed}, which is not a folder; unpack the full release "
                             f"(five sessions), which {SITE} gives out.")
    with os.scandir(folder) as entries:
        found = sorted(entry.path for entry in entries
                       if entry.is_file() and entry.name.endswith(".txt") and not entry.name.startswith("."))
    if not found:
        raise InputError(f"{folder} holds no file of labels (Ses{number:02d}F_impro01.txt and so on); unpack the full release again.")
    return found


def _read_evaluation(path: str, wav: str, session: str) -> list[Turn]:
    """The turns of an evaluation file: one line in brackets per turn; the other lines are about single annotators."""
    dialog, found = os.path.splitext(os.path.basename(path))[0], []
    for number, line in enumerate(files.read_bytes(path).decode("utf-8-sig", "replace").split("\n"), 1):
        if not line.lstrip().startswith("["):
            continue
        where, label = f"{path}:{number}", LABEL.fullmatch(line.strip())
        if label is None:
            raise InputError(f"{where}: a label line must be '[start - end] turn code [v, a, d]'; correct it.")
        name, code = label.groups()
        turn = TURN.fullmatch(name)
        if turn is None or turn["dialog"] != dialog or turn["session"] != session:
            raise InputError(f"{where}: {name} is not the name of a turn of dialog {dialog} in {session}; correct the line, "
                             "or move the file to its session.")
        if code not in EMOTIONS:
            raise InputError(f"{where}: {name} has the label {code!r}, which is none of {' '.join(EMOTIONS)}; correct the line.")
        found.append(Turn(name, turn["session"] + turn["gender"], session, KINDS[turn["kind"]], turn["gender"].lower(), EMOTIONS[code],
                          os.path.join(wav, dialog, f"{name}.wav"), where))
    return found
