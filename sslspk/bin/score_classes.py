"""Measure the predictions of classifiers: `python3 -m sslspk.bin.score_classes --labels TABLE [options] PREDICTIONS... OUT`.

PREDICTIONS are files predictions.tsv, one per fold ("utt" and the class names, tab-separated, then posteriors that sum to 1; or "utt" and
"value" for a regression, which is measured by RMSE). The labels name the same utterances, no more and no fewer. Writes OUT/result.json, and
for classes OUT/confusion.tsv and OUT/confusion.png, and prints a table. The keys of provenance.json beside the predictions are copied to
the result; a key that differs between folds becomes a list.
"""
import argparse
import os
from collections.abc import Callable, Mapping

from sslspk.bin.metrics import save_json
from sslspk.errors import InputError, count, entry, shown

MANY, PICTURED = 30, 240   # with more classes the picture of the confusion has no numbers; with still more there is no picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", action="append", required=True, metavar="TABLE",
                        help="table of each utterance's true class (repeatable)")
    parser.add_argument("--pool", choices=("none", "mean", "vote"), default="none", help="what is measured: utterances (none), or the "
                        "groups of --groups, by the mean posterior or by majority vote")
    parser.add_argument("--groups", metavar="TABLE", help="table of each utterance's group (a recording, a subject)")
    parser.add_argument("--utt2spk", metavar="TABLE",
                        help="speaker of each utterance, for the interval (default: the groups where they are pooled, else what stands "
                             "before the first hyphen of an id)")
    parser.add_argument("--cavg", choices=("true", "false"), default="false",
                        help="true: also compute the detection cost of languages (NIST's Cavg, p_target 0.5); the posteriors must assume "
                             "equal priors")
    parser.add_argument("--unseen", choices=("refuse", "wrong"), default="refuse", help="a label that is no class of the predictions, "
                                                                                        "since the training part lacked it: refuse it "
                                                                                        "(default), or count it as wrong")
    parser.add_argument("--bootstrap", type=count, default=1000, metavar="N",
                        help="replicates of the bootstrap over speakers (default 1000; 0: no interval)")
    parser.add_argument("--seed", type=count, default=0, help="seed of the bootstrap (default 0)")
    parser.add_argument("predictions", nargs="+", metavar="PREDICTIONS")
    parser.add_argument("out", metavar="OUT")
    args = parser.parse_args()
    if (args.pool == "none") != (args.groups is None):
        raise InputError("--groups needs --pool mean or --pool vote with it." if args.groups else f"--pool {args.pool} needs --groups.")
    if args.bootstrap < 0:
        raise InputError(f"--bootstrap is {args.bootstrap}; give a number of replicates from 0 (no interval) on.")
    figures = measure(args)
    from sslspk.io.provenance import commands
    from sslspk.metrics import class_report
    figures["commands"] = commands("sslspk.bin.score_classes")
    if figures["task"] == "classification":
        save_confusion(figures, args.out)
        if len(figures["classes"]) > PICTURED:
            del figures["confusion"]   # confusion.tsv has it
    save_json(figures, os.path.join(args.out, "result.json"))
    print("\n".join(class_report.lines(figures)))


def measure(args: argparse.Namespace) -> dict:
    """All figures of the files, and where they come from. Raises InputError naming what does not fit together."""
    from sslspk.io import predictions, table
    from sslspk.metrics import class_report
    found = read_predictions(args.predictions)
    labels, source = read_labels(args.labels), " and ".join(args.labels)
    check_utterances(found, labels, source)
    numeric = found[0].numeric
    if args.cavg == "true" and (numeric or args.unseen == "wrong" or len(set(labels.values())) < 2):
        raise InputError(f"--cavg true is for posteriors of two classes or more that occur and were trained, not for {args.predictions[0]} "
                         f"with {source}; leave it out.")
    if numeric and args.pool == "vote":
        raise InputError(f"{args.predictions[0]} holds numbers, over which there is no vote; give --pool mean.")
    known = [*found[0].columns, *(sorted(set(labels.values()) - set(found[0].columns)) if args.unseen == "wrong" else ())]
    truth = predictions.numbers(labels, source) if numeric else class_numbers(labels, known, args.predictions[0])
    groups = table.read(args.groups) if args.groups else {utt: utt for utt in labels}
    speakers, notes = who_speaks(args, sorted(labels), groups)
    names, folds = zip(*(pooled(fold, truth, groups, speakers, args) for fold in found), strict=True)
    _refuse_twice(args.predictions, names, "group" if args.groups else "utterance")
    options = {"replicates": args.bootstrap, "seed": args.seed}
    figures = class_report.numbers(folds, **options) if numeric else class_report.classes(folds, known, **options)
    for row, path, fold in zip(figures["folds"], args.predictions, found, strict=True):
        row |= {"predictions": path, "utterances": len(fold.utts)}
    return provenance(args.predictions) | figures | {"utterances": len(labels), "pool": args.pool, "groups": args.groups,
                                                     "labels_from": args.labels, "notes": notes}


def read_predictions(paths: list[str]) -> list:
    """The files as io.predictions.Predictions, their columns in the order of the first.

    Raises InputError where they name other classes, or one utterance twice.
    """
    from sslspk.io import predictions
    found = [predictions.read(path) for path in paths]
    first = found[0].columns
    for path, fold in zip(paths, found, strict=True):
        odd = min(set(first) ^ set(fold.columns), default=None)
        if odd is not None:
            raise InputError(f"{paths[0]} and {path} do not name the same classes, {odd} is in one of them only; train all folds with the "
                             "same classes.")
    _refuse_twice(paths, [fold.utts for fold in found], "utterance")
    places = [{name: place for place, name in enumerate(fold.columns)} for fold in found]
    return [fold._replace(columns=first, values=fold.values[:, [place[name] for name in first]])
            for fold, place in zip(found, places, strict=True)]


def _refuse_twice(paths: list[str], names: list[list[str]], what: str) -> None:
    seen: dict[str, str] = {}
    for path, own in zip(paths, names, strict=True):
        twice = min(seen.keys() & set(own), default=None)
        if twice is not None:
            raise InputError(f"the {what} {twice} is in {seen[twice]} and in {path}; folds test each {what} once, so give one file for "
                             "each fold.")
        seen |= dict.fromkeys(own, path)


def read_labels(paths: list[str]) -> dict[str, str]:
    """The union of tables. Raises InputError naming an utterance about which two of them disagree."""
    from sslspk.io import table
    labels: dict[str, str] = {}
    for path in paths:
        for utt, label in table.read(path).items():
            if labels.setdefault(utt, label) != label:
                raise InputError(f"{path} gives {utt} the label {label}, another --labels gives {labels[utt]}; correct one of them.")
    return labels


def check_utterances(found: list, labels: Mapping[str, str], source: str) -> None:
    """Raises InputError naming an utterance that only the predictions, or only the labels, have."""
    said = {utt for fold in found for utt in fold.utts}
    lost = said - labels.keys()
    if lost:
        raise InputError(f"{min(lost)} has a prediction and no label in {source} ({len(lost)} of {len(said)}); give the labels of all that "
                         "was tested.")
    lost = labels.keys() - said
    if lost:
        raise InputError(f"{min(lost)} of {source} has no prediction ({len(lost)} of {len(labels)}); give the files of all folds, or the "
                         "labels of these folds alone.")


def class_numbers(labels: Mapping[str, str], names: list[str], path: str) -> dict[str, int]:
    """Utterance -> class number. Raises InputError naming a label that the predictions do not know."""
    number = {name: i for i, name in enumerate(names)}
    for utt, label in labels.items():
        if label not in number:
            known = shown(names, 60)
            raise InputError(f"the label {shown(label, 30)} of {shown(utt, 30)} is none of the classes of {path}, {known}; leave it out.")
    return {utt: number[label] for utt, label in labels.items()}


def who_speaks(args: argparse.Namespace, utts: list[str], groups: Mapping[str, str]) -> tuple[dict[str, str] | None, list[str]]:
    """Utterance -> whom the bootstrap draws (None: not known), and notes for the result."""
    from sslspk.io import table
    missing = min(set(utts) - groups.keys(), default=None)
    if missing is not None:
        raise InputError(f"{args.groups} has no group for {missing}; complete it.")
    if args.utt2spk:
        utt2spk = table.read(args.utt2spk)
        missing = min(set(utts) - utt2spk.keys(), default=None)
        if missing is not None:
            raise InputError(f"{args.utt2spk} has no speaker for {missing}; give the utt2spk of what was tested.")
        return utt2spk, []
    if args.groups:
        return dict(groups), []
    speakers = {utt: utt.partition("-")[0] for utt in utts}
    odd = next((utt for utt in utts if "-" not in utt or not speakers[utt]), None)
    if odd is None or not args.bootstrap:
        return speakers, []
    return None, [f"no interval: the id {odd} does not begin with its speaker and a hyphen; say with --utt2spk who speaks"]


def pooled(fold, truth: Mapping[str, float], groups: Mapping[str, str], speakers: Mapping[str, str] | None, args: argparse.Namespace):
    """Names of the items of one file, and their class_report.Fold; an item is an utterance, or a group of them."""
    import numpy as np

    from sslspk.metrics import class_report, classification
    names, code = np.unique([groups[utt] for utt in fold.utts], return_inverse=True)
    first = [fold.utts[i] for i in np.unique(code, return_index=True)[1]]
    labels = [truth[utt] for utt in first]
    _one_each(fold.utts, code, labels, truth.__getitem__, names, "labels")
    if fold.numeric:
        said = classification.pool(fold.values, code, "mean")[:, 0]
    else:
        said = classification.decide(fold.values, code, "mean" if args.pool == "none" else args.pool)
    posteriors = classification.pool(fold.values, code, "mean") if args.cavg == "true" else None
    owner = None
    if speakers is not None:
        owner = [speakers[utt] for utt in first]
        _one_each(fold.utts, code, owner, speakers.__getitem__, names, "speakers")
    return names.tolist(), class_report.Fold(np.array(labels), said, None if owner is None else np.array(owner), posteriors)


def _one_each(utts: list[str], code, own: list, value: Callable, names, what: str) -> None:
    for utt, i in zip(utts, code, strict=True):
        if value(utt) != own[i]:
            raise InputError(f"the group {names[i]} has utterances of two {what}, {utt} is one; pool what has one label and one speaker.")


def provenance(paths: list[str]) -> dict:
    """What provenance.json beside each file says: a value where all agree, else the list of values (null where a fold has none)."""
    from sslspk.io import results
    beside = [os.path.join(os.path.dirname(path), "provenance.json") for path in paths]
    rows = [results.origin(path) if os.path.exists(path) else {} for path in beside]
    keys = dict.fromkeys(key for row in rows for key in row)
    found = {key: [row.get(key) for row in rows] for key in keys}
    return {key: values[0] if all(value == values[0] for value in values) else values for key, values in found.items()}


def save_confusion(figures: dict, out: str) -> None:
    """OUT/confusion.tsv (row: the true class, column: the predicted one; counts) and OUT/confusion.png, or no such picture."""
    from sslspk.bin.plot_det import save
    from sslspk.io import files
    rows = ["\t".join(("true", *figures["classes"]))]
    rows += ["\t".join((name, *map(str, row))) for name, row in zip(figures["classes"], figures["confusion"], strict=True)]
    with files.atomic_write(os.path.join(out, "confusion.tsv")) as file:
        file.write("\n".join(rows) + "\n")
    picture = os.path.join(out, "confusion.png")
    if len(figures["classes"]) <= PICTURED:
        save(draw(figures), picture)
    elif os.path.exists(picture):
        os.unlink(picture)   # of fewer classes, at an earlier time


def draw(figures: dict):
    """A matplotlib figure of the confusion: counts, and shares of the true class as shades."""
    import matplotlib
    matplotlib.use("Agg")
    matplotlib.rcParams["text.parse_math"] = False   # names hold any signs
    import numpy as np
    from matplotlib.figure import Figure
    table, names = np.array(figures["confusion"]), figures["classes"]
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    many = len(names) > MANY
    side = 2.4 + 0.8 * len(names) if not many else min(40.0, 2.4 + 0.16 * len(names))   # inches
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*(table.shape if not many else (0, 0))):
        axes.text(column, row, f"{100 * share[row, column]:.0f} %\n{table[row, column]}", ha="center", va="center", fontsize=9,
                  color="white" if share[row, column] > 0.5 else "black")
    axes.set_xticks(range(len(names)), names, rotation=90 if many else 45 if max(map(len, names)) > 6 else 0)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true", title=f"WA {figures['wa_percent']:.1f} %, UA {figures['ua_percent']:.1f} %")
    return figure


if __name__ == "__main__":
    entry(main)
