"""The figures of a classification or a regression over folds, as the dictionary that goes to JSON and as the lines that people read."""
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sslspk.metrics import classification, languages
from sslspk.metrics.bootstrap import interval

REPLICATES = 1000
SHARES = {"wa_percent": classification.weighted_accuracy, "ua_percent": classification.unweighted_accuracy,
          "macro_f1_percent": classification.macro_f1, "micro_f1_percent": classification.micro_f1}
TITLES = {"wa_percent": "WA", "ua_percent": "UA", "macro_f1_percent": "macro F1", "rmse": "RMSE"}  # what is printed


class Fold(NamedTuple):
    """N items of one fold: truth (N,) and predicted (N,) are class numbers or the numbers of a regression, speaker (N,) any names.

    posteriors: (N, C), where the detection cost of languages is asked for.
    """

    truth: np.ndarray
    predicted: np.ndarray
    speaker: np.ndarray | None
    posteriors: np.ndarray | None = None


def classes(folds: Sequence[Fold], names: Sequence[str], *, replicates: int = REPLICATES, seed: int = 0) -> dict:
    """All figures: for each fold, mean and deviation over folds, and for all items together, with intervals if the speakers are known."""
    tables = [classification.confusion(fold.truth, fold.predicted, len(names)) for fold in folds]
    whole = np.sum(tables, axis=0)
    out = {"task": "classification", "classes": list(names), "items": int(whole.sum()), **_over_folds([_shares(table) for table in tables]),
           **_shares(whole)}
    truth, predicted, speaker = _together(folds)
    if speaker is not None:
        out |= {"speakers": len(np.unique(speaker)), "bootstrap_replicates": replicates, "bootstrap_seed": seed}
        if replicates:
            drawn = classification.speaker_bootstrap(truth, predicted, speaker, len(names), replicates=replicates, seed=seed)
            for key, values in (("wa_percent", drawn.wa), ("ua_percent", drawn.ua)):
                out[f"{key}_low"], out[f"{key}_high"] = interval(100 * values)
    if all(fold.posteriors is not None for fold in folds):
        out |= _detection(np.concatenate([fold.posteriors for fold in folds]), truth, speaker, replicates, seed)
    of = classification.per_class(whole)
    out["per_class"] = {name: {"precision_percent": 100 * float(of.precision[c]), "recall_percent": 100 * float(of.recall[c]),
                               "f1_percent": 100 * float(of.f1[c]), "count": int(of.count[c])} for c, name in enumerate(names)}
    return out | {"confusion": whole.tolist()}


def _detection(posteriors: np.ndarray, truth: np.ndarray, speaker: np.ndarray | None, replicates: int, seed: int) -> dict:
    """Cavg in % with its interval."""
    ratios = languages.likelihood_ratios(posteriors)
    out = {"cavg_percent": 100 * languages.cavg(ratios, truth), "cavg_p_target": languages.P_TARGET}
    if speaker is not None and replicates:
        drawn = languages.cavg_bootstrap(ratios, truth, speaker, replicates=replicates, seed=seed)
        out["cavg_percent_low"], out["cavg_percent_high"] = interval(100 * drawn[np.isfinite(drawn)])
    return out


def numbers(folds: Sequence[Fold], *, replicates: int = REPLICATES, seed: int = 0) -> dict:
    """The same for a regression: RMSE."""
    rows = [{"items": len(fold.truth), "rmse": classification.rmse(fold.truth, fold.predicted)} for fold in folds]
    truth, predicted, speaker = _together(folds)
    out = {"task": "regression", "items": len(truth), **_over_folds(rows), "rmse": classification.rmse(truth, predicted)}
    if speaker is not None:
        out |= {"speakers": len(np.unique(speaker)), "bootstrap_replicates": replicates, "bootstrap_seed": seed}
        if replicates:
            drawn = classification.rmse_bootstrap(truth, predicted, speaker, replicates=replicates, seed=seed)
            out["rmse_low"], out["rmse_high"] = interval(drawn)
    return out


def _shares(table: np.ndarray) -> dict:
    return {"items": int(table.sum())} | {key: 100 * float(measure(table)) for key, measure in SHARES.items()}


def _over_folds(rows: list[dict]) -> dict:
    """folds: the rows; mean and std (with N - 1; null where there is one fold) of what is no count."""
    keys = [key for key in rows[0] if key != "items"]
    found = {key: np.array([row[key] for row in rows]) for key in keys}
    return {"folds": rows, "mean": {key: float(values.mean()) for key, values in found.items()},
            "std": {key: float(values.std(ddof=1)) if len(values) > 1 else None for key, values in found.items()}}


def _together(folds: Sequence[Fold]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    known = all(fold.speaker is not None for fold in folds)
    return (np.concatenate([fold.truth for fold in folds]), np.concatenate([fold.predicted for fold in folds]),
            np.unique(np.concatenate([fold.speaker for fold in folds]), return_inverse=True)[1] if known else None)


def lines(figures: Mapping) -> list[str]:
    """The report as text: folds, mean and deviation, all items, then the classes."""
    keys = [key for key in TITLES if key in figures]
    out = [f"{'':<10}{'items':>7}" + "".join(f"{TITLES[key]:>10}" for key in keys)]

    def row(title: str, count: object, values: Mapping) -> str:
        return f"{title:<10}{count:>7}" + "".join(f"{values[key]:>10.2f}" for key in keys)

    out += [row(f"fold {i}", fold["items"], fold) for i, fold in enumerate(figures["folds"], 1) if len(figures["folds"]) > 1]
    if len(figures["folds"]) > 1:
        out += [row("mean", "", figures["mean"]), row("deviation", "", figures["std"])]
    out.append(row("all", figures["items"], figures))
    for key in keys:
        if f"{key}_low" in figures:
            out.append(f"{TITLES[key]}: 95 % interval {figures[f'{key}_low']:.2f} to {figures[f'{key}_high']:.2f} "
                       f"({figures['bootstrap_replicates']} replicates over {figures['speakers']} speakers)")
    if "cavg_percent" in figures:
        out.append(f"Cavg: {figures['cavg_percent']:.2f} % (p_target {figures['cavg_p_target']:g})")
        if "cavg_percent_low" in figures:
            out[-1] += f", 95 % interval {figures['cavg_percent_low']:.2f} to {figures['cavg_percent_high']:.2f}"
    if figures["task"] == "classification":
        width = max(10, *(len(name) + 2 for name in figures["classes"]))
        out.append(f"{'class':<{width}}{'items':>7}{'precision':>11}{'recall':>9}{'F1':>9}")
        out += [f"{name:<{width}}{of['count']:>7}{of['precision_percent']:>11.2f}{of['recall_percent']:>9.2f}{of['f1_percent']:>9.2f}"
                for name, of in figures["per_class"].items()]
    return out + [f"note: {note}" for note in figures.get("notes", ())]


def mean_over_seeds(rows: Sequence[Mapping], key: str) -> float:
    """The mean of a figure over results (seeds)."""
    return statistics.fmean(row[key] for row in rows)


def interval_over_seeds(rows: Sequence[Mapping], key: str) -> str:
    """The mean of a figure over results, with the means of the ends of its intervals where all have one: "77.50 (74.32-81.09)"."""
    ends = [f"{mean_over_seeds(rows, f'{key}_{end}'):.2f}" for end in ("low", "high") if all(f"{key}_{end}" in row for row in rows)]
    return f"{mean_over_seeds(rows, key):.2f}" + (f" ({'-'.join(ends)})" if ends else "")
