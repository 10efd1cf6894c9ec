"""Align transcripts in phones: `train` a small CTC recogniser on them, `align` one job's part of a data directory, `join` the parts.

DATA holds feats.scp by steps/make_feats.sh and the file `phones`, a line `utt phone phone ...` for each utterance, without silences, or
with --lexicon the words of each utterance in `text`.
"""
import argparse
from pathlib import Path

from sslspk.errors import InputError, counted, entry, whole


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True, metavar="train|align|join")
    train = actions.add_parser("train", help="write MODEL/recogniser.pt")
    train.add_argument("--conf", help="YAML of the recogniser; default: sslspk/train/config_phones.py")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override, e.g. epochs=10 (repeatable)")
    train.add_argument("--threads", type=whole, default=1, metavar="N", help="number of threads (default: 1)")
    train.add_argument("--test", metavar="DATA", help="held-out speakers, whose phone error rate is measured at the end")
    align = actions.add_parser("align", help="align one job's part of DATA")
    align.add_argument("--part", type=whole, default=1, metavar="J", help="number of this job, from 1 on (default: 1)")
    join = actions.add_parser("join", help="make one folder of the parts of all jobs")
    for sub in (align, join):
        sub.add_argument("--parts", type=whole, default=1, metavar="N", help="number of jobs (default: 1)")
        sub.add_argument("out", type=Path, metavar="OUT", help="folder of the labels")
    for sub in (train, align, join):
        sub.add_argument("model", type=Path, metavar="MODEL", help="folder of the recogniser")
    for sub in (train, align):
        sub.add_argument("--phones", metavar="FILE", help="file to read in place of DATA/phones")
        sub.add_argument("--lexicon", metavar="FILE", help="file of pronunciations, lines `WORD phone phone ...`; then DATA/text is read "
                                                           "in place of DATA/phones")
        sub.add_argument("data", metavar="DATA")
    return parser


def main() -> None:
    args = options().parse_args()
    if args.action == "train":
        learn(args)
    elif args.action == "align":
        align(args)
    else:
        from sslspk.io import alignments
        print(f"aligned {counted(alignments.join(args.out, args.parts, about(args.model)), 'utterance')}")


def learn(args: argparse.Namespace) -> None:
    """Train, and measure the errors on held-out speakers."""
    import torch

    from sslspk.bin.metrics import save_json
    from sslspk.config import load
    from sslspk.train import cpu_time, phones
    from sslspk.train.config_phones import PhoneConfig
    torch.set_num_threads(args.threads)
    config, corpus = load(PhoneConfig, args.conf, args.set), phones.read(args.data, args.phones, args.lexicon)
    test = phones.read(args.test, args.phones, args.lexicon) if args.test else None
    if test and (twice := min(test.specs.keys() & corpus.specs.keys(), default=None)) is not None:
        raise InputError(f"{twice} is in {args.data} and in {args.test}; test what was not trained on.")
    for line in phones.train(args.model, corpus, config):
        print(line, flush=True)
    if test:
        wrong, count, nll = phones.error_rate(phones.load(args.model)[0], test)
        figures = {"phone_error_percent": 100 * wrong / max(count, 1), "phones": count, "utterances": len(test.specs),
                   "ctc_loss": nll / max(count, 1), "test": args.test}
        print("held-out: phone error rate {phone_error_percent:.2f} % of {phones} phones, CTC loss {ctc_loss:.4f} nats a phone"
              .format(**figures))
        save_json(figures, str(args.model / "phone_errors.json"))
    print(cpu_time.sentence())


def align(args: argparse.Namespace) -> None:
    """Labels of a part of DATA; an utterance with fewer frames than phones gets none."""
    import torch

    from sslspk.io import alignments, files
    from sslspk.train import phones
    torch.set_num_threads(1)
    corpus, (aligner, when, _) = phones.read(args.data, args.phones, args.lexicon), phones.load(args.model)
    if corpus.when != when:
        raise InputError(f"{args.data} has frames of {corpus.when.window:g} s every {corpus.when.shift:g} s, the recogniser had "
                         f"{when.window:g} and {when.shift:g}; make features as in training.")
    with alignments.Writer(args.out, about(args.model), str(args.part)) as out:
        for utt in files.share(list(corpus.specs), args.part, args.parts):
            labels = aligner.align(aligner.frames(utt, corpus.specs[utt]), aligner.labels(utt, corpus.said[utt]))
            if labels is None:
                print(f"warning: {utt} has fewer frames than phones and gets no labels", flush=True)
            else:
                out.write(utt, labels)


def about(model: Path):
    """The LabelSet of a recogniser's alignments."""
    from sslspk.io.alignments import LabelSet
    from sslspk.train import phones
    aligner, when, digest = phones.load(model)
    return LabelSet(kind="align", classes=len(aligner.names), frame_shift=when.shift, window=when.window, made_by="steps/align_phones.sh",
                    digest=digest, labels="phones", names=aligner.names)


if __name__ == "__main__":
    entry(main)
