"""Give each frame of a feats.scp one of K labels: `train` learns the labels, `label` labels one job's part, `join` joins the parts.

--kind: mel or frames, k-means of the frames of the FEATS folder (log-mel by steps/make_feats.sh, or a model's by steps/extract_frames.sh);
bestrq, the random vector next to a random projection of them.
"""
import argparse
from pathlib import Path

from sslspk.errors import InputError, count, counted, entry, named, whole

SHAPES = {"centroids": "K F?", "projection": "D F?", "codes": "K D?", "about": "text"}
NORMALISE = {"mel": "mean", "frames": "none", "bestrq": "mean_deviation"}


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True, metavar="train|label|join")
    train = actions.add_parser("train", help="write a labeller that was learnt on FEATS")
    train.add_argument("--kind", choices=("mel", "frames", "bestrq"), default="mel", help="kind of labels (default: mel)")
    train.add_argument("--classes", type=count, default=50, metavar="K", help="number of classes (default: 50)")
    train.add_argument("--normalise", choices=("none", "mean", "mean_deviation"), help="subtract from the frames of an utterance their "
                       "mean, or divide by their deviation too (default: mel mean, frames none, bestrq mean_deviation)")
    train.add_argument("--points", type=count, default=200_000, metavar="N", help="frames that k-means learns from, evenly spread over the "
                       "utterances (default: 200000)")
    train.add_argument("--iterations", type=count, default=20, metavar="N", help="iterations of k-means (default: 20)")
    train.add_argument("--dim", type=count, default=16, metavar="D", help="dimension of the random projection (default: 16)")
    train.add_argument("--seed", type=count, default=0, help="seed of everything random (default: 0)")
    train.add_argument("feats", type=Path, metavar="FEATS")
    train.add_argument("labeller", type=Path, metavar="LABELLER", help="file to write")
    label = actions.add_parser("label", help="label one job's part of FEATS")
    join = actions.add_parser("join", help="make one folder of the parts of all jobs")
    for sub in (label, join):
        sub.add_argument("--parts", type=whole, default=1, metavar="N", help="number of jobs (default: 1)")
        sub.add_argument("labeller", type=Path, metavar="LABELLER", help="file that train wrote")
        sub.add_argument("out", type=Path, metavar="OUT", help="folder of the labels")
    label.add_argument("--part", type=whole, default=1, metavar="J", help="number of this job, from 1 on (default: 1)")
    label.add_argument("feats", type=Path, metavar="FEATS")
    return parser


def main() -> None:
    args = options().parse_args()
    if args.action == "train":
        learn(args)
        return
    from sslspk.io import alignments
    labeller, about = load(args.labeller)
    if args.action == "join":
        print(f"labels of {counted(alignments.join(args.out, args.parts, about), 'utterance')}, {counted(about.classes, 'class')}")
        return
    from sslspk.io import ark, files, timing
    when, specs = timing.of(args.feats), ark.read_scp(args.feats / "feats.scp")
    if (when.shift, when.window) != (about.frame_shift, about.window):
        raise InputError(f"{args.feats} has frames every {when.shift:g} s, and {args.labeller} was learnt on {about.frame_shift:g} s and "
                         f"windows of {about.window:g} s; take the same kind of frames.")
    if when.of_model != (about.kind == "frames") or (when.of_model and origin(args.feats)["made_by"] != about.made_by):
        raise InputError(f"{named(args.feats, 40)} has frames of another model or kind than {named(args.labeller, 40)} was learnt on; take "
                         "the same.")
    with alignments.Writer(args.out, about, str(args.part)) as out:
        for utt in files.share(list(specs), args.part, args.parts):
            out.write(utt, labeller(ark.load(specs[utt])))


def learn(args: argparse.Namespace) -> None:
    """Write the labeller."""
    import json

    import numpy as np

    from sslspk.io import ark, timing
    from sslspk.io.alignments import LabelSet, digest_of
    from sslspk.ivector import state
    from sslspk.nn.labellers import Labeller
    when, specs = timing.of(args.feats), ark.read_scp(args.feats / "feats.scp")
    if when.of_model != (args.kind == "frames"):
        raise InputError(f"--kind {args.kind} is for frames of {'features, and' if when.of_model else 'a model, and'} {args.feats} has "
                         f"{'those of a model' if when.of_model else 'features'}; give the other kind.")
    normalise = args.normalise or NORMALISE[args.kind]
    if args.kind == "bestrq":
        features = ark.shape(next(iter(specs.values())))[-1]
        labeller = Labeller.random(features, args.classes, args.dim, normalise, args.seed)
    else:
        points = sample(specs, args.points, normalise)
        labeller = Labeller.clusters(points, args.classes, normalise, args.iterations, args.seed)
        print(f"k-means: {args.classes} clusters of {len(points)} frames of {counted(len(specs), 'utterance')}", flush=True)
    what = origin(args.feats) if when.of_model else {"made_by": f"{args.kind} of {ark.shape(next(iter(specs.values())))[-1]} features"}
    digest = digest_of(args.kind, normalise, when.shift, when.window, *(labeller.arrays[name] for name in sorted(labeller.arrays)))
    about = LabelSet(kind=args.kind, classes=args.classes, frame_shift=when.shift, window=when.window, digest=digest, **what)
    text = json.dumps({"about": about.model_dump(mode="json"), "normalise": normalise})
    state.save(args.labeller, **labeller.arrays, about=np.array(text))


def sample(specs: dict[str, str], points: int, normalise: str):
    """(N, F) float32: as many frames of each utterance, evenly spread, `points` in all or one of each utterance."""
    import numpy as np

    from sslspk.io import alignments, ark
    from sslspk.nn.labellers import Labeller
    found, each, prepare = [], max(1, points // len(specs)), Labeller(normalise).normalise_frames
    utts = list(specs)
    if len(utts) > points:
        utts = utts[::-(-len(utts) // points)]
    for utt in utts:
        frames = prepare(ark.load(specs[utt])).numpy()
        found.append(frames[alignments.spread(len(frames), each)])
    return np.concatenate(found)


def origin(feats: Path) -> dict:
    """made_by, which tells models of one name apart by model_digest, and labels, as provenance.json of the frames says it."""
    from sslspk.io import results
    path = feats / "provenance.json"
    said = results.origin(path) if path.exists() else {}
    return {"made_by": f"frames of {said.get('system', 'an unknown model')}, {said.get('weights', 'unknown weights')}, "
                       f"{said.get('model_digest', 'unknown digest')}",
            "labels": said.get("labels", "unknown")}


def load(path: Path):
    """The labeller of a file and its LabelSet. Raises InputError where it is none."""
    from sslspk.config import check
    from sslspk.io.alignments import LabelSet
    from sslspk.ivector import state
    from sslspk.nn.labellers import NORMALISE as KNOWN
    from sslspk.nn.labellers import Labeller
    arrays = state.load(path, **SHAPES)
    said = state.info(path, arrays, "about")
    about = check(LabelSet, said.get("about"), str(path))
    names = ("projection", "codes") if about.kind == "bestrq" else ("centroids",)
    if any(name not in arrays for name in names) or said.get("normalise") not in KNOWN:
        raise InputError(f"{path} is no labeller of kind {about.kind}; run the step that makes it again.")
    return Labeller(said["normalise"], **{name: arrays[name] for name in names}), about


if __name__ == "__main__":
    entry(main)
