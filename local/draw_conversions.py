#!/usr/bin/env python3
"""Pictures of conversions: `local/draw_conversions.py [--count 4] FEATS CONVERTED OUT.png`.

FEATS/feats.scp holds the log-mel of the sources, by the options that the model reads; CONVERTED is a directory by steps/convert.sh. A row
for each of the first conversions: the source, and the same in the target's voice, on one scale of colours. No torch.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, count, entry


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=count, default=4, metavar="N")
    parser.add_argument("feats", type=Path, metavar="FEATS")
    parser.add_argument("converted", type=Path, metavar="CONVERTED")
    parser.add_argument("out", type=Path, metavar="OUT.png")
    args = parser.parse_args()
    import matplotlib
    matplotlib.use("agg")
    from matplotlib import pyplot

    from sslspk.io import ark, table
    sources, target = table.read(args.converted / "utt2source"), table.read(args.converted / "utt2spk")
    found, real = ark.read_scp(args.converted / "feats.scp"), ark.read_scp(args.feats / "feats.scp")
    chosen = list(sources)[:args.count]
    figure, axes = pyplot.subplots(len(chosen), 2, figsize=(12, 2.4 * len(chosen)), squeeze=False, constrained_layout=True)
    for row, key in zip(axes, chosen, strict=True):
        if sources[key] not in real:
            raise InputError(f"{table.named(sources[key])} has no log-mel in {args.feats}/feats.scp; make the features of all sources.")
        pair = ark.load(real[sources[key]]), ark.load(found[key])
        low, high = pair[0].min(), pair[0].max()
        for axis, x, title in zip(row, pair, (sources[key], f"as {target[key]}"), strict=True):
            axis.imshow(x.T, origin="lower", aspect="auto", vmin=low, vmax=high, interpolation="nearest")
            axis.set_title(title, fontsize=8)
            axis.set_ylabel("mel bin")
            axis.set_xlabel("frame")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, dpi=100)
    print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    entry(main)
