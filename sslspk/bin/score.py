"""Score a trial list and measure it: `python3 -m sslspk.bin.score [options] TRIALS ENROL_DIR TEST_DIR OUT`.

ENROL_DIR and TEST_DIR (often the same) hold xvector.scp with one embedding per id. Writes OUT/scores_NAME ("enrol test score"
in the order of the list) and OUT/result_NAME.json, NAME being the list's file name without ".txt". Nothing is written
when a trial names an id without embedding, or an embedding cannot be scored. The result holds the keys of --provenance
(which system, configuration, commit, seed, labels), the back-end, the list's md5 and what sslspk.bin.metrics measures.
"""
import argparse
import json
import os

from sslspk.backend import NAMES, build
from sslspk.bin.metrics import add_measuring, measure, save_json
from sslspk.errors import InputError, entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=NAMES, default="cosine", help="how two embeddings are compared (default cosine)")
    parser.add_argument("--mean", metavar="DIR", help="subtract the mean of the embeddings of DIR/xvector.scp (no labels used)")
    parser.add_argument("--provenance", metavar="JSON_FILE", help="an object whose keys go to the result")
    add_measuring(parser)
    parser.add_argument("trials", metavar="TRIALS", help='"enrol test target|nontarget" or "1|0 enrol test" lines')
    parser.add_argument("enrol", metavar="ENROL_DIR")
    parser.add_argument("test", metavar="TEST_DIR")
    parser.add_argument("out", metavar="OUT")
    args = parser.parse_args()

    from sslspk.io import scores as score_file
    from sslspk.io import trials as trial_list
    from sslspk.metrics import report
    provenance = _provenance(args.provenance)
    trials = trial_list.read(args.trials)
    scores = score(args, trials)
    figures, _ = measure(args, trials, scores)
    name = os.path.basename(args.trials).removesuffix(".txt")
    figures = provenance | {"backend": args.backend, "backend_mean": args.mean} | figures
    score_file.write(os.path.join(args.out, f"scores_{name}"), trials.enrol, trials.test, scores)
    save_json(figures, os.path.join(args.out, f"result_{name}.json"))
    print("\n".join(report.lines(figures)))


def score(args: argparse.Namespace, trials):
    """Scores (N,) of the trials. Raises InputError naming an id without embedding or an embedding that cannot be scored."""
    from sslspk.io.trials import lookup
    wanted: dict[str, set[str]] = {}
    for folder, ids in ((args.enrol, trials.enrol), (args.test, trials.test)):
        wanted.setdefault(folder, set()).update(ids.tolist())
    loaded = {folder: _load(folder, ids) for folder, ids in wanted.items()}
    rows = [lookup(ids, loaded[folder][0], os.path.join(folder, "xvector.scp"))
            for folder, ids in ((args.enrol, trials.enrol), (args.test, trials.test))]
    mean = _load(args.mean)[1] if args.mean else None
    widths = {x.shape[1] for _, x in loaded.values()} | ({mean.shape[1]} if args.mean else set())
    if len(widths) > 1:
        raise InputError(f"the embeddings have {' and '.join(map(str, sorted(widths)))} dimensions; "
                         "take all of them from one model.")
    backend = build(args.backend)
    if mean is not None:
        backend.fit(mean)
    for folder, (names, x) in loaded.items():
        backend.check(x, [f"{name} in {folder}" for name in names])
    return backend.score_trials(loaded[args.enrol][1], loaded[args.test][1], *rows)


def _load(folder: str, wanted: set[str] | None = None):
    """Ids and embeddings (N, D) of a directory, those of `wanted` where given (what it lacks is left out)."""
    import numpy as np

    from sslspk.io import ark
    path = os.path.join(folder, "xvector.scp")
    specs = {name: spec for name, spec in ark.read_scp(path).items() if wanted is None or name in wanted}
    vectors = [ark.load(spec) for spec in specs.values()]
    for name, vector in zip(specs, vectors, strict=True):
        if vector.ndim != 1 or vector.shape != vectors[0].shape:
            raise InputError(f"{path}: {name} has shape {vector.shape} where {next(iter(specs))} has {vectors[0].shape}; "
                             "embeddings are vectors of one length, extract them again.")
    return list(specs), np.array(vectors, np.float64).reshape(len(vectors), -1 if vectors else 0)


def _provenance(path: str | None) -> dict:
    """Keys of the provenance file; {} without one. Raises InputError when it is not a JSON object."""
    from sslspk.io import files
    if not path:
        return {}
    try:
        found = json.loads(files.read_bytes(path))
    except ValueError as err:
        raise InputError(f"{path} is not valid JSON ({err}); write it again.") from err
    if not isinstance(found, dict):
        raise InputError(f"{path} must hold one JSON object of provenance keys, not a {type(found).__name__}.")
    return found


if __name__ == "__main__":
    entry(main)
