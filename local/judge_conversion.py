#!/usr/bin/env python3
"""Share of conversions that a verification model accepts as their target speakers: `local/judge_conversion.py ... REAL CONVERTED OUT`.

REAL: folder of embeddings (xvector.scp) of real recordings with --utt2spk; CONVERTED: of the data directory --data that steps/convert.sh
wrote. The score of a conversion and a speaker is the mean cosine with the speaker's recordings, but not the one that was converted. It is
accepted from the threshold on at which the model errs equally often on the trials of --scores, --trials. Writes OUT/result.json: shares of
the conversions that are accepted as the target, rejected as the source, both; and where --plain names embeddings of the sources decoded in
their own voice, the same for these. No torch.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, counted, entry


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utt2spk", required=True, metavar="TABLE", help="speakers of REAL")
    parser.add_argument("--trials", required=True, metavar="FILE", help="pairs of real recordings")
    parser.add_argument("--scores", required=True, metavar="FILE", help="cosines of these by steps/score.sh")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="utt2spk, utt2source and utt2source_spk of the conversions")
    parser.add_argument("--plain", metavar="DIR", help="embeddings of the sources decoded in their own voice, under the same ids")
    parser.add_argument("real", metavar="REAL")
    parser.add_argument("converted", metavar="CONVERTED")
    parser.add_argument("out", type=Path, metavar="OUT")
    return parser.parse_args()


def unit(folder: str) -> dict:
    """{utterance: embedding of length 1}."""
    import numpy as np

    from sslspk.io import ark
    found = {utt: np.asarray(ark.load(spec), float) for utt, spec in ark.read_scp(f"{folder}/xvector.scp").items()}
    return {utt: x / max(np.linalg.norm(x), 1e-12) for utt, x in found.items()}


def equal_error_threshold(args: argparse.Namespace) -> tuple[float, float]:
    """(threshold, equal error rate in percent) of the verification model on real trials."""
    from sslspk.io import scores as scored
    from sslspk.io import trials as trial_list
    from sslspk.metrics import verification
    trials, found = trial_list.read(args.trials), scored.read(args.scores)
    listed = set(zip(trials.enrol.tolist(), trials.test.tolist(), strict=True))
    odd = next((pair for pair in zip(found.enrol.tolist(), found.test.tolist(), strict=True) if pair not in listed), None)
    if odd is not None:
        raise InputError(f"{args.scores}: {odd[0]} {odd[1]} is no trial of {args.trials}; score that list again.")
    det = verification.det_curve(scored.align(trials, found, args.scores, args.trials), trials.target)
    return verification.eer_threshold(det), 100 * verification.eer(det)


def judged(found: dict, real: dict, spoken: dict[str, list[str]], tables: dict[str, dict], threshold: float) -> dict[str, float]:
    """The shares of conversions, in percent, and their mean scores."""
    import numpy as np

    def score(key: str, speaker: str) -> float:
        others = [real[utt] for utt in spoken[speaker] if utt != tables["utt2source"][key]]
        if not others:
            raise InputError(f"speaker {speaker[:40]} has no other recording than the converted one; leave that pair out.")
        return float(np.mean([found[key] @ other for other in others]))
    to_target = np.array([score(key, tables["utt2spk"][key]) for key in tables["utt2source"]])
    to_source = np.array([score(key, tables["utt2source_spk"][key]) for key in tables["utt2source"]])
    accepted, rejected = to_target >= threshold, to_source < threshold
    return {"accepted_as_target": 100 * float(accepted.mean()), "rejected_as_source": 100 * float(rejected.mean()),
            "both": 100 * float((accepted & rejected).mean()), "nearer_to_target": 100 * float((to_target > to_source).mean()),
            "score_target": float(to_target.mean()), "score_source": float(to_source.mean())}


def main() -> int:
    args = options()
    from sslspk.bin.metrics import save_json
    from sslspk.io import datadir, table
    tables = {name: table.read(args.data / name) for name in ("utt2spk", "utt2source", "utt2source_spk")}
    real = unit(args.real)
    spoken = {speaker: table.words(utts) for speaker, utts in datadir.invert(table.read(args.utt2spk)).items()}
    threshold, eer = equal_error_threshold(args)
    result = {"pairs": len(tables["utt2source"]), "threshold": threshold, "eer": eer,
              "converted": judged(unit(args.converted), real, spoken, tables, threshold)}
    if args.plain:
        result["plain"] = judged(unit(args.plain), real, spoken, tables, threshold)
    args.out.mkdir(parents=True, exist_ok=True)
    save_json(result, str(args.out / "result.json"))
    shares = result["converted"]
    print(f"{counted(result['pairs'], 'conversion')}: {shares['accepted_as_target']:.1f} % accepted as the target, "
          f"{shares['rejected_as_source']:.1f} % rejected as the source (threshold {threshold:.3f}, equal error rate {eer:.2f} %)")
    return 0


if __name__ == "__main__":
    entry(main)
