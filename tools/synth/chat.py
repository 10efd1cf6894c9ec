"""Transcripts in CHAT (MacWhinney 2000), as in ADReSS: made-up descriptions of a picture, with %mor and %gra."""
from dataclasses import dataclass

import numpy as np

WIDTH = 76  # a longer line continues on the next, after a tab
MARK = "\x15"  # around the times of a turn
WORDS = {  # part of speech -> words, as CLAN's lexicon writes them: word, stem
    "det:art": (("the", "the"), ("a", "a")),
    "n": (("boy", "boy"), ("girl", "girl"), ("mother", "mother"), ("cookie", "cookie"), ("stool", "stool"), ("sink", "sink"),
          ("water", "water"), ("dishes", "dish-PL"), ("window", "window"), ("jar", "jar"), ("floor", "floor"), ("curtains", "curtain-PL")),
    "part": (("falling", "fall-PRESP"), ("reaching", "reach-PRESP"), ("drying", "dry-PRESP"), ("taking", "take-PRESP"),
             ("looking", "look-PRESP"), ("running", "run-PRESP")),
    "aux": (("is", "be&3S"),),
    "prep": (("on", "on"), ("in", "in"), ("at", "at"), ("over", "over"), ("from", "from")),
    "coord": (("and", "and"),),
}
CLAUSE = (("det:art", 2, "DET"), ("n", 4, "SUBJ"), ("aux", 4, "AUX"), ("part", 0, "ROOT"), ("prep", 4, "JCT"), ("det:art", 7, "DET"),
          ("n", 5, "POBJ"))  # part of speech, head in the clause, relation
PROMPTS = ("tell me everything you see going on in the picture .", "mhm .", "anything else ?", "okay .", "what else is going on ?")
FILLERS = ("&-uh", "&-um", "&-er")


@dataclass(frozen=True)
class Spoken:
    """One turn: the speaker, the text of the main tier, the tiers below it, and start and end in ms."""

    code: str  # PAR or INV
    text: str
    tiers: tuple[tuple[str, str], ...]
    start: int
    end: int


def describe(pauses: list[float], rng: np.random.Generator) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The text of a turn of len(pauses) + 1 clauses with `pauses` (s) between them, and its %mor and %gra tiers."""
    said, mor, gra = [], [], []
    for i in range(len(pauses) + 1):
        first = len(mor)
        for kind, head, relation in CLAUSE:
            word, stem = WORDS[kind][rng.integers(len(WORDS[kind]))]
            said.append(word)
            mor.append(f"{kind}|{stem}")
            to = first + head if head else max(0, first - 3) if i else 0
            gra.append(f"{len(mor)}|{to}|{relation if head or not i else 'CONJ'}")
        if i < len(pauses):
            said.append("(...)" if pauses[i] > 2 else "(..)" if pauses[i] > 1 else "(.)" if pauses[i] > 0.4 else ",")
            if rng.random() < 0.3:
                said.append(FILLERS[rng.integers(len(FILLERS))])
    gra.append(f"{len(gra) + 1}|4|PUNCT")
    return " ".join([*said, "."]), (("%mor", " ".join([*mor, "."])), ("%gra", " ".join(gra)))


def fold(tier: str, text: str, mark: str = "", alone: bool = False) -> str:
    """The lines of a tier, no longer than WIDTH if words allow; the `mark` ends the last line, or is `alone` on its own line."""
    lines, now = [], f"{tier}:\t"
    words = [*text.split(" "), *([] if alone or not mark else [mark])]
    for word in words:
        if len(now.expandtabs(8)) + len(word) > WIDTH and not now.endswith("\t"):
            lines.append(now.rstrip(" "))
            now = "\t"
        now += word + " "
    lines.append(now.rstrip(" "))
    return "".join(f"{line}\n" for line in [*lines, *([f"\t{mark}"] if alone else [])])


def transcript(person: str, identity: str, turns: list[Spoken]) -> str:
    """A .cha file; `identity` is the text after the participant's code in the @ID line: age;|sex|group||Participant|mmse||."""
    head = ["@UTF8", "@Begin", "@Languages:\teng", "@Participants:\tPAR Participant, INV Investigator",
            f"@ID:\teng|Pitt|PAR|{identity}", "@ID:\teng|Pitt|INV|||||Investigator|||", f"@Media:\t{person}, audio"]
    body, first = [], True
    for turn in turns:
        mark = f"{MARK}{turn.start}_{turn.end}{MARK}"
        # In every file at least one mark is on a continuation line, as sometimes in the originals.
        body.append(fold(f"*{turn.code}", turn.text, mark, alone=first and turn.code == "PAR"))
        first = first and turn.code != "PAR"
        body += [fold(tier, text) for tier, text in turn.tiers]
    return "".join(f"{line}\n" for line in head) + "".join(body) + "@End\n"
