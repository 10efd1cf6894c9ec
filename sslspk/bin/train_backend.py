"""Train a back-end on embeddings: `python3 -m sslspk.bin.train_backend [--conf C] [--labels utt2spk] EMB_DIR OUT`.

EMB_DIR holds xvector.scp. Writes OUT/mean.vec, OUT/transform.mat and OUT/plda as Kaldi's files, OUT/backend.yaml and OUT/info.json.
Embeddings without a label are left out. --adapt takes the PLDA of a trained folder to the domain of EMB_DIR, without labels.
"""
import argparse
import json
import os

from sslspk.errors import InputError, counted, entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("emb", metavar="EMB_DIR")
    parser.add_argument("out", metavar="OUT")
    parser.add_argument("--conf", help="YAML of the back-end (default: Kaldi's for VoxCeleb, see sslspk/backend/config.py)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override (repeatable)")
    parser.add_argument("--labels", metavar="FILE", help="utt2spk; not needed where lda and plda are none")
    parser.add_argument("--label-kind", choices=("pseudo", "speaker"), default="speaker", help="what --labels holds, for the results")
    parser.add_argument("--adapt", metavar="DIR", help="a trained back-end with PLDA, to be adapted to EMB_DIR")
    args = parser.parse_args()
    if args.adapt and (args.labels or args.conf or args.set):
        raise InputError("--adapt needs neither --labels nor --conf nor --set: the back-end has them, and the embeddings need no label.")

    from sslspk.io import embeddings
    names, x = embeddings.load(args.emb)
    if not names:
        raise InputError(f"{args.emb}/xvector.scp names no embedding; extract some.")
    backend, info = adapted(args.adapt, names, x) if args.adapt else trained(args, names, x)
    os.makedirs(args.out, exist_ok=True)
    backend.save(args.out)
    _write_info(args, info)


def trained(args: argparse.Namespace, names: list[str], x):
    """The back-end that the configuration asks for, fitted, and what info.json says of it."""
    import numpy as np

    from sslspk.backend import build, front
    from sslspk.backend.base import refuse_row
    from sslspk.backend.config import BackendConfig
    from sslspk.config import load
    from sslspk.io import table
    config = load(BackendConfig, args.conf, args.set)
    kept, labels = np.arange(len(names)), None
    if args.labels and config.reads_labels:
        utt2spk = table.read(args.labels)
        _require(utt2spk, names, args)
        kept = np.flatnonzero([name in utt2spk for name in names])
        labels = [utt2spk[names[i]] for i in kept]
        use = front.chosen(labels, config)
        kept, labels = kept[use], [labels[i] for i in use]
    refuse_row(~np.isfinite(x[kept]).all(1), [f"{names[i]} in {args.emb}" for i in kept], "holds NaN or infinity")
    backend = build("lda" if config.plda == "none" else "plda", config).fit(x[kept], labels)
    speakers = len(set(labels)) if labels else 0
    dim = len(backend.front_.affine)
    print(f"{counted(len(kept), 'embedding')} of {x.shape[1]} dimensions, {len(names) - len(kept)} left out; "
          f"{counted(speakers, 'speaker')}; {counted(dim, 'dimension')} kept")
    if config.lda != "none" and dim < config.lda_dim:
        print(f"note: LDA to {counted(dim, 'dimension')}, not lda_dim {config.lda_dim}; speakers: {speakers}, dimensions: {x.shape[1]}")
    return backend, {"labels": args.label_kind if labels else "none", "n": len(kept), "speakers": speakers, "dim": dim}


def adapted(folder: str, names: list[str], x):
    """The back-end of a folder, adapted, and what info.json says of it."""
    from sslspk.backend import labels_seen, load
    from sslspk.io import results
    backend = load(folder, "plda")
    backend.check(x, names)
    path = os.path.join(folder, "info.json")
    info = results.origin(path) if os.path.exists(path) else {}
    info |= {"labels": labels_seen(folder), "adapted_from": folder, "adapted_on": len(names)}
    print(f"adapted to {counted(len(names), 'embedding')}")
    return backend.adapt(x), info


def _require(utt2spk: dict, names: list[str], args: argparse.Namespace) -> None:
    missing = min(utt2spk.keys() - set(names), default=None)
    if missing is not None:
        raise InputError(f"{args.labels} names {missing}, which has no embedding in {args.emb}/xvector.scp; extract it, or give the labels "
                         "of these embeddings.")


def _write_info(args: argparse.Namespace, info: dict) -> None:
    """What results say of the back-end; labels that the embeddings' model saw stand in their own provenance.json."""
    from sslspk.io import files, provenance
    info |= {"trained_on": args.emb, "labels_from": args.labels, "commit": provenance.git_commit()}
    with files.atomic_write(os.path.join(args.out, "info.json")) as file:
        file.write(json.dumps(info, indent=1) + "\n")


if __name__ == "__main__":
    entry(main)
