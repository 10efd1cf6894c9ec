"""Compare the voices of two recordings.

    sslspk compare --model exp/dino_ecapa/final.pt a.wav b.wav

Prints the cosine of their embeddings, from -1 to 1; higher means more similar. If the model has a calibration, also prints the natural-log
likelihood ratio of "one speaker" against "two speakers", the probability of one speaker, and the decision.
"""
import argparse

from sslspk.cli import model
from sslspk.errors import real


def options(parser: argparse.ArgumentParser) -> None:
    model.options(parser)
    parser.add_argument("--prior", type=real, metavar="P",
                        help="prior probability that both recordings are of one speaker (default: the calibration's)")
    parser.add_argument("a", metavar="A")
    parser.add_argument("b", metavar="B")


def run(args: argparse.Namespace) -> None:
    from sslspk.io.clips import Clip
    opened = model.opened(args)
    a, b = (model.recordings(args, {path: Clip(path)})[0] for path in (args.a, args.b))
    found = opened.compare(a, b, channel=args.channel, prior=args.prior)
    reason = opened.uncalibrated
    print(f"cosine       {found.cosine:.4f}")
    if reason:
        print(f"no decision: {reason} (see docs/python.md)")
    else:
        print(f"llr          {found.llr:.4f}\nprobability  {found.probability:.4f}   with a prior of {found.prior:g}\n"
              f"decision     {'one speaker' if found.same_speaker else 'two speakers'}")
