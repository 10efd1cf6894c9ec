"""Where a score comes from, as JSON for steps/score.sh: `python3 -m sslspk.bin.provenance --system NAME [--model M] OUT.json`.

Says which labels were used where: self-supervised means that nothing here saw a speaker label or a session name.
"""
import argparse
import json
import re
from pathlib import Path

from sslspk.errors import entry


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT.json")
    parser.add_argument("--system", required=True, help="name of the row")
    parser.add_argument("--model", type=Path, help="final.pt that the embeddings come from; none: no model was trained")
    parser.add_argument("--weights", default="", help="which of the model's encoders, or `untrained`")
    args = parser.parse_args()

    from sslspk.io.files import atomic_write
    from sslspk.io.provenance import git_commit
    row = {"system": args.system, "weights": args.weights, "trained_on": "none", "labels": "none", "commit": git_commit()}
    if args.model:
        row.update(_of_model(args.model, args.weights))
    text = json.dumps(row, indent=1)
    if not args.out.exists() or args.out.read_text() != text:  # an unchanged file keeps its time, so that scoring is skipped
        with atomic_write(args.out) as f:
            f.write(text)
    return 0


def _of_model(path: Path, weights: str) -> dict:
    from sslspk.config import check
    from sslspk.train import checkpoint
    from sslspk.train.config import SystemConfig, config_hash
    content = checkpoint.load(path)
    config = check(SystemConfig, content["config"], str(path))
    trained, info = weights != "untrained", content["info"]
    return {"trained_on": corpus(info["trained_on"]), "training_data": info["data"],
            "weights": weights or content["evaluate"], "method": config.method.name, "encoder": config.encoder.name,
            "config_hash": config_hash(config), "seed": config.seed, "steps": info["step"] if trained else 0,
            "labels": info["labels"] if trained else "none",
            "road": config.data.road, "commit": info["commit"]}


def corpus(data: str) -> str:
    """The corpus, and the part of it, that the name of a training directory tells (run.sh --speakers, --hours): voxceleb2_spk500."""
    name, *rest = data.split("_")
    part = [word for word in rest if re.fullmatch(r"spk\d+|\d[\d.]*h", word)]
    return "_".join(dict.fromkeys([name, *part]))


if __name__ == "__main__":
    entry(main)
