"""Decides without labels whether a round made the embeddings better: `python3 -m sslspk.bin.judge_round CROP2UTT BEFORE AFTER OUT.json`.

BEFORE and AFTER hold embeddings of the same crops of recordings that the round was not trained on, CROP2UTT the recording of each crop
(utils/cut_data_dir.sh --ends). Compared, recording by recording, are the AUC (two crops of one recording are closer than crops of two) and
the agreement of neighbours (two crops of a recording have the same other recordings nearest to them). The round is refused if one of the
two falls by more than chance (95 % interval of the difference over recordings), or if the sum of both differences, each divided by its
standard error, is negative. OUT.json gives the reason.
"""
import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sslspk.errors import InputError, entry

if TYPE_CHECKING:
    from sslspk.metrics.label_free import Figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", metavar="CROP2UTT", help="table with lines `crop recording`")
    parser.add_argument("before", type=Path, metavar="BEFORE", help="embeddings of the best model so far")
    parser.add_argument("after", type=Path, metavar="AFTER", help="embeddings of the round's model")
    parser.add_argument("out", metavar="OUT.json")
    args = parser.parse_args()

    from sslspk.bin.judge_embeddings import load
    from sslspk.bin.metrics import save_json
    from sslspk.io import results
    from sslspk.metrics import label_free
    crops, x, recordings = load(args.before, args.recordings)
    others, y, _ = load(args.after, args.recordings)
    if crops != others:
        lost = min({*crops} ^ {*others})
        raise InputError(f"only one of {args.before} and {args.after} has {lost}; extract both again.")
    found = verdict(*(label_free.figures(z, recordings, str(path)) for z, path in ((x, args.before), (y, args.after))))
    systems = {key: results.origin(path / "provenance.json").get("system", "unknown") for key, path in (("best_before", args.before),
                                                                                                       ("round", args.after))}
    save_json(systems | found, args.out)
    print(found["reason"])


def verdict(before: "Figures", after: "Figures") -> dict:
    """`accepted`, `reason` (a sentence), and of each figure in % its means before and after and the interval of the difference."""
    import numpy as np

    from sslspk.metrics.label_free import mean_interval, standardised
    found: dict = {"recordings": len(before.auc)}
    for name, old, new in zip(before._fields, before, after, strict=True):
        low, high = mean_interval(new - old)
        found[name] = {"before": 100 * float(old.mean()), "after": 100 * float(new.mean()), "low": 100 * low, "high": 100 * high}
    fell = [name for name, one in zip(("AUC", "agreement"), (found["auc"], found["agreement"]), strict=True) if one["high"] < 0]
    if not fell and sum(map(standardised, map(np.subtract, after, before))) < 0:
        fell = ["the two together"]
    shown = "; ".join(f"{name} {one['before']:.2f} -> {one['after']:.2f} % ({one['low']:+.2f} to {one['high']:+.2f})"
                      for name, one in (("AUC", found["auc"]), ("agreement of neighbours", found["agreement"])))
    reason = f"refused, since {' and '.join(fell)} fell" if fell else "accepted"
    return {"accepted": not fell, "reason": f"{reason}: {shown}, on {found['recordings']} held-out recordings"} | found


if __name__ == "__main__":
    entry(main)
