"""What a report shows of a classification or a regression over folds: each speaker's share, beside what its result says."""
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError
from sslspk.io import predictions, table
from sslspk.metrics import classification


class Speaker(NamedTuple):
    """How many items of one speaker (or subject) were decided, and the share of right ones in %, or the RMSE of a regression."""

    name: str
    items: int
    value: float


def by_speaker(row: dict, folders: list[Path]) -> tuple[list[Speaker], str]:
    """The speakers of a result, the hardest first, or none and then why. folders: where paths of results may start.

    The speaker of an utterance is its group where groups were decided, else what utt2spk beside the labels says, else what stands before
    the first hyphen of its id.
    """
    try:
        labels = {utt: label for path in row["labels_from"] for utt, label in table.read(_found(path, folders)).items()}
        folds = [predictions.read(_found(fold.get("predictions", ""), folders)) for fold in row["folds"]]
        pooled = row.get("pool", "none") != "none"
        groups = table.read(_found(row["groups"], folders)) if pooled else _speakers(_found(row["labels_from"][0], folders))
        found = _decided(row, folds, labels, groups)
    except (InputError, KeyError) as err:
        return [], f"errors by speaker are not shown: {err.args[0] if err.args else err}"
    numeric = row["task"] == "regression"
    speakers = [Speaker(name, len(errors), float(np.sqrt(np.mean(np.square(errors)))) if numeric else 100 * float(np.mean(errors)))
                for name, errors in found.items()]
    return sorted(speakers, key=lambda one: (-one.value if numeric else one.value, one.name)), ""


def _decided(row: dict, folds: list[predictions.Predictions], labels: dict[str, str], groups: dict[str, str]) -> dict[str, np.ndarray]:
    """Speaker -> (items,) whether each was right, or by how much a regression was off."""
    parts: dict[str, list[float]] = {}
    pool = row.get("pool", "none")
    for fold in folds:
        speakers = [groups.get(utt, utt.partition("-")[0]) for utt in fold.utts]
        names, code = np.unique(speakers if pool != "none" else fold.utts, return_inverse=True)
        first = np.unique(code, return_index=True)[1]
        said = classification.pool(fold.values, code, "mean")[:, 0] if fold.numeric else \
            classification.decide(fold.values, code, "mean" if pool == "none" else pool)
        for item, place in enumerate(first[:len(names)]):
            truth = labels[fold.utts[place]]
            value = said[item] - float(truth) if fold.numeric else float(fold.columns[said[item]] == truth)
            parts.setdefault(speakers[place], []).append(value)
    return {name: np.array(values) for name, values in parts.items()}


def _speakers(labels: Path) -> dict[str, str]:
    known = labels.parent / "utt2spk"
    return table.read(known) if known.is_file() else {}


def _found(path: str, folders: list[Path]) -> Path:
    found = next((place for folder in folders if (place := folder / path).is_file()), None)
    if found is None:
        raise InputError(f"{path or 'the file of predictions'} is not there; call sslspk report in the recipe's folder.")
    return found
