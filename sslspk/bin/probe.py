"""Probe frozen embeddings: `python3 -m sslspk.bin.probe --labels FILE --train DATA_DIR --test DATA_DIR [options] EMB_DIR OUT`.

EMB_DIR/xvector.scp holds the embeddings of both data directories, whose utt2spk name the utterances, and the labels those of --train.
Writes OUT/predictions.tsv (posteriors of the test utterances; with --target regression their values), OUT/probe.yaml and
OUT/provenance.json, which is that of EMB_DIR with what the probe was trained on.
"""
import argparse
import itertools
import os

from sslspk.errors import InputError, counted, entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", required=True, metavar="FILE", help="table of each utterance's class, or number")
    parser.add_argument("--train", required=True, metavar="DATA_DIR", help="data directory to train on")
    parser.add_argument("--test", required=True, metavar="DATA_DIR", help="data directory to predict")
    parser.add_argument("--valid", metavar="DATA_DIR", help="validation data that stop the training of an mlp")
    parser.add_argument("--target", choices=("classification", "regression"), default="classification",
                        help="kind of label; regression: a number, predicted by ridge")
    parser.add_argument("--classifier", metavar="NAME", help="see backend/config_probe.py (default logistic; for a regression ridge)")
    parser.add_argument("--conf", help="YAML of the probe")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override (repeatable)")
    parser.add_argument("emb", metavar="EMB_DIR")
    parser.add_argument("out", metavar="OUT")
    args = parser.parse_args()
    config = configuration(args)

    from sslspk.backend.probes import Probe
    from sslspk.io import predictions
    train, valid, test = sides(args)
    labels = targets(args, args.train, train, config.regression)
    x, y = embedded(args, list(train)), embedded(args, list(test))
    held = (embedded(args, list(valid)), targets(args, args.valid, valid, False)) if args.valid else None
    probe = Probe(config).fit(x, labels, list(train.values()), held)
    found = probe.predict(y, [f"{name} in {args.emb}" for name in test])
    for c, value in probe.chosen_.items():
        print(f"C {c:g}: {'RMSE' if config.regression else 'UA' if config.balanced else 'WA'} {value:.4f} over held-out training speakers")
    if probe.passes_:
        print(f"note: the validation loss was lowest after {counted(probe.passes_, 'pass')} (at most {config.iterations})")
    of = "a regression" if config.regression else f"{counted(len(probe.classes_), 'class')}"
    print(f"trained {config.classifier}{f' with C {probe.C_:g}' if config.has_c else ''} on {counted(len(train), 'embedding')} of "
          f"{counted(len(set(train.values())), 'speaker')}, {of}; {counted(len(test), 'prediction')}")
    if len(probe.chosen_) > 1 and probe.C_ in (min(probe.chosen_), max(probe.chosen_)):
        print(f"note: C {probe.C_:g} is at an end of the grid; --set grid=[...] may find a better one beyond it")
    shared = set(train.values()) & set(test.values())
    if shared and labels != list(train.values()):
        print(f"note: speakers in both the training and the test part: {len(shared)}, such as {min(shared)}")
    record(args, config, probe.C_)
    predictions.write(os.path.join(args.out, "predictions.tsv"), list(test), probe.classes_ or [predictions.VALUE], found)


def configuration(args: argparse.Namespace):
    """The checked configuration; a regression is by ridge unless another classifier is named, which is then refused."""
    from sslspk.backend.config_probe import ProbeConfig
    from sslspk.config import load
    given = [*args.set, *([f"classifier={args.classifier}"] if args.classifier else [])]
    config = load(ProbeConfig, args.conf, given)
    if args.target == "regression" and "classifier" not in config.model_fields_set:
        config = load(ProbeConfig, args.conf, [*given, "classifier=ridge"])
    if config.regression != (args.target == "regression"):
        raise InputError(f"classifier {config.classifier} is not for --target {args.target}; ridge is for a regression, all others are for "
                         "classes.")
    return config


def sides(args: argparse.Namespace) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """utt2spk of the training, validation and test part. Raises InputError naming an utterance that is in two of them."""
    from sslspk.io import table
    parts = {folder: table.read(os.path.join(folder, "utt2spk")) for folder in (args.train, args.valid, args.test) if folder}
    for one, other in itertools.combinations([args.train, *([args.valid] if args.valid else []), args.test], 2):
        both = min(parts[one].keys() & parts[other].keys(), default=None)
        if both is not None:
            raise InputError(f"{both} is in {one} and in {other}; test what was not trained on.")
    return parts[args.train], parts[args.valid] if args.valid else {}, parts[args.test]


def targets(args: argparse.Namespace, folder: str, utts: dict[str, str], numeric: bool) -> list:
    """What the utterances of a folder are labelled with, in their order. Raises InputError naming one that has no label, or no number."""
    from sslspk.io import predictions, table
    labels = table.read(args.labels)
    missing = sorted(utts.keys() - labels.keys())
    if missing:
        raise InputError(f"{args.labels} has no label for {missing[0]} of {folder} ({len(missing)} of {len(utts)}); complete it, or "
                         "leave such utterances out.")
    labels = {utt: labels[utt] for utt in utts}
    return list(predictions.numbers(labels, args.labels).values() if numeric else labels.values())


def embedded(args: argparse.Namespace, names: list[str]):
    """Embeddings (N, D) of the utterances, in their order. Raises InputError naming one that has none, or one that is not finite."""
    import numpy as np

    from sslspk.backend.base import refuse_row
    from sslspk.io import embeddings
    found, x = embeddings.load(args.emb, set(names))
    place = {name: i for i, name in enumerate(found)}
    missing = [name for name in names if name not in place]
    if missing:
        raise InputError(f"{missing[0]} has no embedding in {args.emb}/xvector.scp ({len(missing)} of {len(names)} lack one); extract the "
                         "embeddings of this data directory.")
    x = x[[place[name] for name in names]]
    refuse_row(~np.isfinite(x).all(1), [f"{name} in {args.emb}" for name in names], "holds NaN or infinity")
    return x


def record(args: argparse.Namespace, config, c: float | None) -> None:
    """Write OUT/probe.yaml, and OUT/provenance.json where EMB_DIR says where its embeddings come from."""
    from sslspk.bin.metrics import save_json
    from sslspk.config import to_yaml
    from sslspk.io import files, provenance, results
    with files.atomic_write(os.path.join(args.out, "probe.yaml")) as file:
        file.write(to_yaml(config))
    source = os.path.join(args.emb, "provenance.json")
    known = results.origin(source) if os.path.exists(source) else {}
    if not known:
        print(f"note: there is no {source}, so the result will not say where the embeddings come from")
    save_json({**known, "probe": config.classifier, "probe_C": c, "probe_trained_on": args.train, "probe_labels_from": args.labels,
               "probe_hidden": list(config.hidden) if config.classifier == "mlp" else None,
               "probe_commit": provenance.git_commit()}, os.path.join(args.out, "provenance.json"))


if __name__ == "__main__":
    entry(main)
