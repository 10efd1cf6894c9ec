"""Ratings of emotional speech, in the form of IEMOCAP's EmoEvaluation files."""
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from synth.layout import generator

if TYPE_CHECKING:
    from synth.emotion import Turn

FOLDERS = ("Attribute", "Categorical", "Self-evaluation")
HEAD = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"
NAMES = {"ang": "Anger", "hap": "Happiness", "neu": "Neutral", "sad": "Sadness", "exc": "Excited", "fru": "Frustration",
         "sur": "Surprise", "oth": "Other"}
LEVELS = {  # valence, activation, dominance, each from 1 to 5
    "ang": (1.9, 3.9, 3.9), "hap": (4.0, 3.3, 3.1), "neu": (2.9, 2.4, 2.7), "sad": (2.1, 2.1, 2.4), "exc": (4.2, 3.8, 3.4),
    "fru": (2.2, 3.2, 3.2), "sur": (3.1, 3.4, 2.7), "oth": (2.8, 2.7, 2.8), "xxx": (2.8, 2.9, 2.9),
}


def write(folder: Path, dialog: str, turns: Sequence["Turn"], seed: int) -> None:
    """Write the joint verdict on a dialog, and each rater's in the folders FOLDERS below it."""
    verdict = [HEAD]
    votes: dict[str, list[str]] = {"e2": [], "e3": [], "e4": []}
    levels: dict[str, list[str]] = {"e3": [], "e4": []}
    own: list[str] = []
    self_rater = f"{dialog[5].lower()}1"  # the actor after whom the dialog is named
    for turn in turns:
        rng = generator(seed, turn.name, "ratings")
        said = _votes(turn.label, rng)
        mine = said[rng.integers(3)]
        marks = np.clip(np.rint(np.array(LEVELS[turn.label]) + rng.normal(0, 0.6, (2, 3))), 1, 5).astype(int)
        mean = ", ".join(f"{m:.4f}" for m in marks.mean(0))
        verdict.append(f"\n[{turn.start:.4f} - {turn.start + turn.seconds:.4f}]\t{turn.name}\t{turn.label}\t[{mean}]\n")
        for rater, vote in zip(votes, said, strict=True):
            verdict.append(f"C-{rater.upper()}:\t{vote};\t()\n")
            votes[rater].append(f"{turn.name} :{vote}; ()\n")
        verdict.append(f"C-{self_rater.upper()}:\t{mine};\t()\n")
        own.append(f"{turn.name} :{mine}; ()\n")
        for rater, (v, a, d) in zip(levels, marks, strict=True):
            verdict.append(f"A-{rater.upper()}:\tval {v}; act {a}; dom  {d};\t()\n")
            levels[rater].append(f"{turn.name} :act {a}; :val {v}; :dom {d}; ()\n")
    (folder / f"{dialog}.txt").write_text("".join(verdict) + "\n")
    for rater, lines in votes.items():
        (folder / "Categorical" / f"{dialog}_{rater}_cat.txt").write_text("".join(lines))
    for rater, lines in levels.items():
        (folder / "Attribute" / f"{dialog}_{rater}_atr.txt").write_text("".join(lines))
    (folder / "Self-evaluation" / f"{dialog}_{self_rater}_cat.txt").write_text("".join(own))


def _votes(label: str, rng: np.random.Generator) -> list[str]:
    """The words of three raters: at least two say `label`; for "xxx" (no majority) all differ."""
    others = [NAMES[n] for n in NAMES if n != label]
    if label == "xxx":
        return [others[i] for i in rng.permutation(len(others))[:3]]
    third = NAMES[label] if rng.random() < 0.5 else others[rng.integers(len(others))]
    said = [NAMES[label], NAMES[label], third]
    return [said[i] for i in rng.permutation(3)]
