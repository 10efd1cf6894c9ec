"""i-vectors of whole utterances: `python3 -m sslspk.bin.extract_ivectors DATA EXP OUT.ark OUT.scp`.

Reads DATA/feats.scp and DATA/vad.scp, and the model EXP/final.npz. provenance.json beside OUT.scp says where the i-vectors come from.
"""
import argparse
from pathlib import Path

from sslspk.errors import entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("exp", type=Path, metavar="EXP", help="folder that steps/train_ivector.sh wrote")
    parser.add_argument("ark", type=Path, metavar="OUT.ark")
    parser.add_argument("scp", type=Path, metavar="OUT.scp")
    args = parser.parse_args()

    from sslspk.config import digest
    from sslspk.io import ark, provenance
    from sslspk.ivector import extractor, frames, stats
    from sslspk.ivector.model import ivectors
    ubm, model, config, info = extractor.load(args.exp)
    with ark.Writer(args.ark, args.scp) as writer:
        for utterances in frames.blocks(frames.read_specs(args.data), config, ubm.means.shape[1], str(args.exp)):
            for (utt, _), vector in zip(utterances, ivectors(model, *stats.of_block(ubm, utterances, config)), strict=True):
                writer.write(utt, vector)
    provenance.write(args.scp.parent, args.exp.resolve().name, "ivector", trained_on=info["trained_on"], labels=info["labels"],
                     method="ivector", encoder="ivector", config_hash=digest(config), seed=config.seed, steps=config.iterations)


if __name__ == "__main__":
    entry(main)
