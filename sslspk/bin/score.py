"""Score a trial list and measure it: `python3 -m sslspk.bin.score [options] TRIALS ENROL_DIR TEST_DIR OUT`.

ENROL_DIR and TEST_DIR (often the same) hold xvector.scp with one embedding per id. Writes OUT/scores_NAME ("enrol test score"
in the order of the list) and OUT/result_NAME.json, NAME being the list's file name without ".txt"; of a list without labels
("enrol test") the scores alone. Nothing is written
when a trial names an id without embedding, or an embedding cannot be scored. The result holds the keys of --provenance
(which system, configuration, commit, seed, labels), the back-end and the cohort with the labels that they saw, the list's md5
and what sslspk.bin.metrics measures. sslspk/backend/snorm.py states the kinds of --snorm.
"""
import argparse
import os
from typing import TYPE_CHECKING, NamedTuple

from sslspk.backend import NAMES, build
from sslspk.bin.metrics import add_measuring, measure, save_json, without_labels
from sslspk.errors import InputError, entry, whole

if TYPE_CHECKING:
    import numpy as np

    from sslspk.backend.base import Backend
    from sslspk.io.trials import Trials


class Rows(NamedTuple):
    """Embeddings (N, D) and their ids; counts (N,): of how many utterances each is the average, None where all are one.

    members: the utterances that averages are made of; None where the rows are utterances themselves.
    """

    names: list[str]
    x: "np.ndarray"
    counts: "np.ndarray | None" = None
    members: set[str] | None = None

    def utterances(self) -> set[str]:
        return set(self.names) if self.members is None else self.members


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    args = parser.parse_args()
    _check_options(args)

    from sslspk.io import results
    from sslspk.io import scores as score_file
    from sslspk.io import trials as trial_list
    from sslspk.io.provenance import commands, machine
    from sslspk.metrics import report
    provenance = results.origin(args.provenance) if args.provenance else {}
    trials = trial_list.read(args.trials, labels=False)
    scores, facts = score(args, trials)
    name = os.path.basename(args.trials).removesuffix(".txt")
    score_file.write(os.path.join(args.out, f"scores_{name}"), trials.enrol, trials.test, scores)
    result = os.path.join(args.out, f"result_{name}.json")
    if trials.target is None:
        facts["notes"] = [*facts.get("notes", ()), *trial_list.remarks(trials), without_labels(args.trials, result)]
        figures = {}
    else:
        figures = measure(args, trials, scores)[0]
        facts["notes"] = [*facts.get("notes", ()), *figures.pop("notes")]
        made = {"scored_on": machine("numpy", "scipy"), "commands": commands("sslspk.bin.score", args.test)}
        figures = provenance | facts | figures | made
        save_json(figures, result)
    print("\n".join([*(report.lines(figures) if figures else ()), *(f"note: {note}" for note in facts["notes"])]))


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", choices=NAMES, default="cosine", help="how two embeddings are compared (default cosine)")
    parser.add_argument("--model", metavar="DIR", help="the back-end that steps/train_backend.sh trained (lda and plda need one)")
    parser.add_argument("--mean", metavar="DIR", help="cosine: subtract the mean of the embeddings of DIR/xvector.scp (no labels used)")
    parser.add_argument("--enrol-map", metavar="FILE", help='"model utt1 utt2 ..." lines: the trials name models, averages of these')
    parser.add_argument("--snorm", choices=("as", "s", "z", "t"), help="normalise the scores against --cohort (default: not)")
    parser.add_argument("--cohort", metavar="DIR", help="embeddings of other speakers than those of the trials")
    parser.add_argument("--cohort-utt2spk", metavar="FILE", help="the cohort is the means of these speakers or clusters")
    parser.add_argument("--cohort-label-kind", choices=("pseudo", "speaker"), default="speaker",
                        help="what --cohort-utt2spk holds, for the result (default speaker)")
    parser.add_argument("--top-n", type=whole, default=300, metavar="N", help="as: the highest cohort scores of each side (default 300)")
    parser.add_argument("--provenance", metavar="JSON_FILE", help="an object whose keys go to the result")
    add_measuring(parser)
    parser.add_argument("trials", metavar="TRIALS",
                        help='"enrol test target|nontarget", "1|0 enrol test", or "enrol test" lines')
    parser.add_argument("enrol", metavar="ENROL_DIR")
    parser.add_argument("test", metavar="TEST_DIR")
    parser.add_argument("out", metavar="OUT")


def _check_options(args: argparse.Namespace) -> None:
    if args.mean and args.backend != "cosine":
        raise InputError(f"--mean works with cosine only; {args.backend} subtracts the mean that its model holds.")
    if bool(args.model) == (args.backend == "cosine"):
        raise InputError("--backend cosine takes no --model; give --backend lda or plda with it." if args.model else
                         f"--backend {args.backend} needs the --model that steps/train_backend.sh wrote.")
    if bool(args.snorm) != bool(args.cohort):
        raise InputError(f"--{'snorm' if args.snorm else 'cohort'} needs --{'cohort' if args.snorm else 'snorm'} with it.")
    if args.cohort_utt2spk and not args.cohort:
        raise InputError("--cohort-utt2spk needs --cohort with it.")


def score(args: argparse.Namespace, trials: "Trials") -> "tuple[np.ndarray, dict]":
    """Scores (N,) of the trials, and what the result says of how they came about.

    Raises InputError naming an id without embedding or an embedding that cannot be scored.
    """
    from sslspk.io import embeddings
    from sslspk.io.trials import lookup
    enrol, test = _sides(args, trials)
    mean = embeddings.load(args.mean)[1] if args.mean else None
    cohort = _cohort(args) if args.cohort else None
    widths = {x.shape[1] for x in (enrol.x, test.x, mean, None if cohort is None else cohort.x) if x is not None}
    if len(widths) > 1:
        raise InputError(f"the embeddings have {' and '.join(map(str, sorted(widths)))} dimensions; take all of them from one model.")
    backend, facts = _backend(args, mean)
    for rows, folder in ((enrol, args.enrol_map or args.enrol), *([] if test is enrol else [(test, args.test)])):
        backend.check(rows.x, [f"{name} in {folder}" for name in rows.names])
    places = (lookup(trials.enrol, enrol.names, args.enrol_map or os.path.join(args.enrol, "xvector.scp")),
              lookup(trials.test, test.names, os.path.join(args.test, "xvector.scp")))
    scores = backend.score_trials(enrol.x, test.x, *places, enrol.counts)
    if cohort is not None:
        backend.check(cohort.x, [f"{name} in {args.cohort_utt2spk or args.cohort}" for name in cohort.names])
        scores, more = _normalise(args, backend, scores, places, enrol, test, cohort)
        facts |= more
    return scores, facts


def _sides(args: argparse.Namespace, trials: "Trials") -> tuple[Rows, Rows]:
    """What the trials name: enrolments and tests; one and the same object where both are single utterances of one directory."""
    from sslspk.backend.averages import average
    from sslspk.io import embeddings, table
    from sslspk.io.trials import lookup
    enrol_ids, test_ids = set(trials.enrol.tolist()), set(trials.test.tolist())
    groups = None
    if args.enrol_map:
        groups = {model: table.words(utts) for model, utts in table.read(args.enrol_map).items()}
        lookup(trials.enrol, list(groups), args.enrol_map)
        groups = {model: utts for model, utts in groups.items() if model in enrol_ids}
        enrol_ids = {utt for utts in groups.values() for utt in utts}
    if groups is None and args.enrol == args.test:
        both = Rows(*embeddings.load(args.test, enrol_ids | test_ids))
        return both, both
    enrol, test = Rows(*embeddings.load(args.enrol, enrol_ids)), Rows(*embeddings.load(args.test, test_ids))
    if groups is not None:
        where = os.path.join(args.enrol, "xvector.scp")
        enrol = Rows(*average(groups, enrol.names, enrol.x, source=args.enrol_map, where=where), enrol_ids)
    return enrol, test


def _backend(args: argparse.Namespace, mean: "np.ndarray | None") -> "tuple[Backend, dict]":
    """The fitted back-end, and what the result says of it."""
    labels, folder = "none", args.model
    if folder:
        from sslspk.backend import labels_seen, load
        backend, labels = load(folder, args.backend), labels_seen(folder)
    else:
        backend = build(args.backend)
        if mean is not None:
            backend.fit(mean)
    return backend, {"backend": args.backend, "backend_mean": args.mean, "backend_model": folder, "backend_labels": labels,
                     "enrol_map": args.enrol_map, "snorm": None, "cohort_labels": "none"}


def _cohort(args: argparse.Namespace) -> Rows:
    """The cohort's utterances, or the means of its speakers or clusters."""
    from sslspk.backend.averages import average
    from sslspk.io import datadir, embeddings, table
    if not args.cohort_utt2spk:
        return Rows(*embeddings.load(args.cohort))
    utt2spk = table.read(args.cohort_utt2spk)
    groups = {speaker: table.words(utts) for speaker, utts in datadir.invert(utt2spk).items()}
    names, x, _ = average(groups, *embeddings.load(args.cohort, set(utt2spk)), source=args.cohort_utt2spk,
                          where=os.path.join(args.cohort, "xvector.scp"))
    return Rows(names, x, members=set(utt2spk))


def _normalise(args: argparse.Namespace, backend: "Backend", scores: "np.ndarray", places: "tuple[np.ndarray, np.ndarray]",
               enrol: Rows, test: Rows, cohort: Rows) -> "tuple[np.ndarray, dict]":
    """Normalised scores (N,), and what the result says of it; each side's statistics are computed once."""
    from sslspk.backend.snorm import SIDES, normalise, statistics
    top_n = min(args.top_n, len(cohort.x)) if args.snorm == "as" else None
    found = {}
    for side, rows in (("enrol", enrol), ("test", test)):
        if side in SIDES[args.snorm]:
            known = found.get("enrol") if rows is enrol else None
            found[side] = known or statistics(backend, rows.x, cohort.x, args.top_n if top_n else None,
                                              counts=rows.counts, names=rows.names)
    labels = args.cohort_label_kind if args.cohort_utt2spk else "none"
    shared = len(cohort.utterances() & (enrol.utterances() | test.utterances()))
    notes = []
    if top_n and top_n < args.top_n:
        notes.append(f"the cohort has {top_n} entries, fewer than --top-n {args.top_n}: all of them are used")
    if shared:
        notes.append(f"{shared} utterances of the cohort are also in the trials; a cohort should be other recordings than the trials")
    facts = {"snorm": args.snorm, "cohort": args.cohort, "cohort_utt2spk": args.cohort_utt2spk, "cohort_labels": labels,
             "cohort_size": len(cohort.x), "top_n": top_n, "cohort_in_trials": shared, "notes": notes}
    return normalise(scores, *places, **found), facts


if __name__ == "__main__":
    entry(main)
