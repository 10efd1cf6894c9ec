"""Describe a model: system, labels used, data, features, and the results that are stored beside it.

    sslspk info exp/dino_ecapa/final.pt
"""
import argparse
import json


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print all of it as one JSON object")
    parser.add_argument("model", metavar="MODEL", help="final.pt of a training, its folder, or one that sslspk export wrote")


def run(args: argparse.Namespace) -> None:
    from sslspk.api import about, comparison
    found = about.about(args.model)
    if args.json:
        print(json.dumps(found, indent=2))
        return
    results, calibration, thresholds = (found.pop(key) for key in ("results", "calibration", "thresholds"))
    for name, value in found.items():
        print(f"{name.replace('_', ' '):<16} {words(value)}")
    known = calibration and f"for a prior of {calibration['p_target']:g}, made on {comparison.source(calibration)}"
    print(f"{'calibration':<16} {known or 'none'}")
    for prior, cosine in thresholds.items():
        print(f"{'one speaker':<16} from a cosine of {cosine:.4f} on, with a prior of {prior}")
    for row in results:
        print(f"{'result':<16} " + line(row))
    if not results:
        print(f"{'result':<16} none beside the model")


def words(value: object) -> object:
    """A fact as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return "unknown" if value is None else ", ".join(value) if isinstance(value, list) else value


def line(row: dict) -> str:
    """A result in a line."""
    if "unreadable" in row:
        return row["unreadable"]
    eer = f"EER {row['eer_percent']:.2f} %" if "eer_percent" in row else "no EER"
    interval = f" ({row['eer_percent_low']:.2f} to {row['eer_percent_high']:.2f})" if "eer_percent_low" in row else ""
    cost = f", minDCF(0.05) {row['min_dcf_0.05']:.3f}" if "min_dcf_0.05" in row else ""
    cost += f", actDCF(0.05) {row['act_dcf_0.05']:.3f}" if "act_dcf_0.05" in row else ""
    cost += f", Cllr {row['cllr']:.3f}" if "cllr" in row else ""
    origin = f"{row['scoring']}, weights {row.get('weights')}, labels {row.get('labels')}, list md5 {row.get('trials_md5')}"
    return f"{row['file']}: {eer}{interval}{cost}, {origin}"
