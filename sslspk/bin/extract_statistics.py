"""The statistics baseline: `python3 -m sslspk.bin.extract_statistics --reference TRAIN_DATA DATA OUT`.

Each utterance becomes the mean and the deviation over time of its un-normalised features (DATA/feats.scp). Three variants,
each a directory with xvector.{ark,scp} and provenance.json: OUT/raw (mean, deviation), OUT/standardised (the same, each dimension
centred and scaled by its mean and deviation over TRAIN_DATA's utterances) and OUT/deviation (deviation alone). The best of the three by
EER is what a trained system has to beat. TRAIN_DATA may hold only audio: a sample of it is then read.
"""
import argparse
from pathlib import Path

import numpy as np

from sslspk.errors import entry

SAMPLE = 2000  # utterances of TRAIN_DATA that are enough for a mean and a deviation


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--reference", type=Path, required=True, metavar="TRAIN_DATA", help="data on which `standardised` is measured")
    parser.add_argument("--conf", help="feature options for TRAIN_DATA where it holds only audio (as for DATA/feats.scp)")
    parser.add_argument("--allow-pipes", choices=("true", "false"), default="false",
                        help="run the entries of TRAIN_DATA/wav.scp that are commands (default: false)")
    args = parser.parse_args()

    from sslspk import progress
    from sslspk.io import ark, provenance, table
    rows = {utt: statistics(ark.load(spec)) for utt, spec in progress.over(table.read(args.data / "feats.scp").items(), "utterances")}
    sample = _sample(args.reference, args.conf, args.allow_pipes == "true")
    reference = np.stack([statistics(x) for x in progress.over(sample, "utterances of --reference")])
    mean, deviation = reference.mean(0), np.maximum(reference.std(0), 1e-6)
    variants = {"raw": lambda v: v, "standardised": lambda v: (v - mean) / deviation, "deviation": lambda v: v[len(v) // 2:]}
    for name, change in variants.items():
        (args.out / name).mkdir(parents=True, exist_ok=True)
        with ark.Writer(args.out / name / "xvector.ark", args.out / name / "xvector.scp") as writer:
            for utt, vector in rows.items():
                writer.write(utt, change(vector).astype(np.float32))
        provenance.write(args.out / name, "statistics", name)
    return 0


def statistics(feats: np.ndarray) -> np.ndarray:
    """(T, F) -> (2F,): mean and deviation over time."""
    x = feats.astype(np.float64)
    return np.concatenate([x.mean(0), x.std(0)])


def _sample(data: Path, conf: str | None, allow_pipes: bool):
    """Features of up to SAMPLE utterances of a data directory, spread evenly over it."""
    from sslspk.io import ark, clips, table
    from_feats = (data / "feats.scp").exists()
    specs = list((table.read(data / "feats.scp") if from_feats else clips.read(data)).items())
    chosen = [specs[i] for i in np.unique(np.linspace(0, len(specs) - 1, min(SAMPLE, len(specs))).astype(int))]
    if from_feats:
        yield from (ark.load(spec) for _, spec in chosen)
        return
    from sslspk.config import load
    from sslspk.features import extract
    from sslspk.features.config import FeatureOptions
    from sslspk.features.fbank import Extractor
    options = load(FeatureOptions, conf)
    extractor = Extractor(options)
    for utt, clip in chosen:
        feats, _ = extract.recording(lambda wave: extractor(wave[None]), options.sample_frequency, utt, clip, allow_pipes)
        yield feats[0].numpy()


if __name__ == "__main__":
    entry(main)
