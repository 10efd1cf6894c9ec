"""Energy VAD of every recording of a data directory: `python3 -m sslspk.bin.compute_vad --conf conf/vad.yaml DIR ARK SCP`.

The energy is the first coefficient of MFCC features with energy, computed from the audio with --feats-conf, so the decisions
are Kaldi's whatever features stand on disk. A vector of 0 and 1 for each utterance, one value a frame.
"""
import argparse

from sslspk.errors import InputError, entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conf", help="VAD options (YAML); without it Kaldi's defaults")
    parser.add_argument("--feats-conf", help="feature options whose first column is an energy (YAML)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override of a VAD option (repeatable)")
    parser.add_argument("--allow-pipes", choices=("true", "false"), default="false", help="run the entries of wav.scp that are commands")
    parser.add_argument("dir", metavar="DIR")
    parser.add_argument("ark", metavar="ARK", help="archive to write")
    parser.add_argument("scp", metavar="SCP", help="table to write")
    args = parser.parse_args()

    from sslspk.config import load
    from sslspk.features.config import FeatureOptions, VadOptions
    options, feature_options = load(VadOptions, args.conf, args.set), load(FeatureOptions, args.feats_conf)
    if feature_options.feature_type == "fbank" and not feature_options.use_energy:
        raise InputError(f"{args.feats_conf}: the first of these features is no energy; use conf/mfcc.yaml, or set use_energy: true.")

    from tqdm import tqdm

    from sslspk.bin.make_feats import features
    from sslspk.features.fbank import Extractor
    from sslspk.features.vad import compute_vad
    from sslspk.io import ark, table
    extractor, voiced, total = Extractor(feature_options), 0.0, 0
    with ark.Writer(args.ark, args.scp) as writer:
        for utt, spec in tqdm(table.read(f"{args.dir}/wav.scp").items(), desc="vad", unit="utt", disable=None):
            decisions = compute_vad(features(extractor, utt, spec, args.allow_pipes == "true")[0][:, 0], options)
            writer.write(utt, decisions)
            voiced, total = voiced + float(decisions.sum()), total + len(decisions)
    print(f"compute_vad: {total} frames, {100 * voiced / total:.1f} % voiced")


if __name__ == "__main__":
    entry(main)
