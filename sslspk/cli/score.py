"""Score a trial list: how similar the voices of each pair are; with labels also EER and minDCF.

    sslspk score --model exp/dino_ecapa/final.pt --audio VoxCeleb1/test/wav veri_test2.txt
    sslspk score --model exp/dino_ecapa/final.pt --data data/test --out scores.txt trials
    sslspk score --embeddings emb trials

LIST holds a pair a line, all of one form: "enrol test", "enrol test target|nontarget" or "1|0 enrol test". The two are paths of recordings
(below --audio), utterances of a Kaldi data directory (--data), or ids of embeddings that are there (--embeddings). Scores are cosines, or
log-likelihood ratios where the model carries a calibration; of these actDCF and Cllr are printed, too. Of a list without labels the
scores themselves are printed, "enrol test score".
"""
import argparse
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sslspk.cli import model
from sslspk.errors import InputError, counted, named

if TYPE_CHECKING:
    import numpy as np

    from sslspk.io.clips import Clip
    from sslspk.io.trials import Trials

COSINE, RATIO = "cosine", "log-likelihood ratio, natural logarithm"


def options(parser: argparse.ArgumentParser) -> None:
    model.options(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--audio", metavar="DIR", default=".", help="folder in which the paths of LIST begin (default: here)")
    where.add_argument("--data", metavar="DIR", help="a Kaldi data directory whose utterances LIST names")
    where.add_argument("--embeddings", metavar="DIR", help="a folder with xvector.scp whose ids LIST names; needs no model")
    parser.add_argument("--utt2spk", metavar="FILE",
                        help="speaker of each utterance, for the interval (default: what is before the first hyphen)")
    parser.add_argument("--cosine", action="store_true", help="cosines, even where the model carries a calibration (to train one)")
    parser.add_argument("--out", metavar="FILE", help='write the scores there, "enrol test score" in the order of LIST')
    parser.add_argument("trials", metavar="LIST")


def run(args: argparse.Namespace) -> None:
    import numpy as np

    from sslspk.cli import overwriting
    from sslspk.io import scores as score_file
    from sslspk.io import trials as trial_list
    trials = trial_list.read(args.trials, labels=False)
    refuse_idle(args, trials)
    overwriting.check([args.out] if args.out else [], inputs_of(args, trials))
    if trials.target is not None:   # what is wrong with the labels or speakers is said before all is embedded
        measured(args, trials, np.zeros(len(trials.enrol)), replicates=0)
    scores, kind = of_embeddings(args, trials) if args.embeddings else of_recordings(args, trials)
    figures = [] if trials.target is None else measured(args, trials, scores, kind == RATIO)
    if args.out:
        score_file.write(args.out, trials.enrol, trials.test, scores)
    if trials.target is not None:
        print("\n".join([f"{'scores':<14} {kind}", *figures]))
    elif not args.out:
        print("\n".join(f"{enrol} {test} {score:.6f}" for enrol, test, score in zip(trials.enrol, trials.test, scores, strict=True)))
    else:
        print(f"{counted(len(scores), 'score')} ({kind}) in {args.out}; EER and minDCF need a label on each line of {args.trials}")


def refuse_idle(args: argparse.Namespace, trials: "Trials") -> None:
    """Raise InputError for options that would do nothing."""
    given = [name for name in ("model", "device", "weights", "layer", "channel", "allow_pipes") if getattr(args, name) is not None]
    if args.embeddings and given:
        raise InputError(f"--embeddings takes embeddings as they are, and no --{given[0].replace('_', '-')}; leave one of the two out.")
    if args.utt2spk and trials.target is None:
        raise InputError(f"--utt2spk is for the interval of an EER, and {named(args.trials)} has no labels; leave it out.")


def inputs_of(args: argparse.Namespace, trials: "Trials") -> Iterator[str | int]:
    """Every file that is read to score the list."""
    from sslspk.cli import overwriting
    from sslspk.io import ark
    folders = [folder for folder in (args.data, args.embeddings) if folder]
    yield from overwriting.of_words([args.trials, *folders, *([args.utt2spk] if args.utt2spk else [])])
    if args.embeddings:
        table = os.path.join(args.embeddings, "xvector.scp")
        yield from (table, os.path.join(args.embeddings, "provenance.json"))
        yield from overwriting.of_specs(ark.read_scp(table).values())
    else:
        yield from overwriting.of_model(model.named(args))
        yield from overwriting.of_specs(clip.spec for clip in sources(args, trials).values())


def of_embeddings(args: argparse.Namespace, trials: "Trials") -> "tuple[np.ndarray, str]":
    """Scores (N,) by embeddings that are there, and what they are. Raises InputError naming an id that has none."""
    from sslspk.api import comparison
    from sslspk.io import embeddings
    from sslspk.io.trials import lookup
    names, x = embeddings.load(args.embeddings, {*trials.enrol.tolist(), *trials.test.tolist()})
    places = [lookup(ids, names, os.path.join(args.embeddings, "xvector.scp")) for ids in (trials.enrol, trials.test)]
    return comparison.scores(x, *places)[0], COSINE


def of_recordings(args: argparse.Namespace, trials: "Trials") -> "tuple[np.ndarray, str]":
    """The same by recordings, each of which is embedded once."""
    import numpy as np

    from sslspk.api import comparison
    from sslspk.io.trials import lookup
    opened = model.opened(args)
    wanted, seconds = sources(args, trials), []
    x = np.stack([row for _, row in opened.embeddings(model.recordings(args, wanted), args.channel, heard=seconds.append)])
    places = [lookup(ids, list(wanted), args.data or args.audio) for ids in (trials.enrol, trials.test)]
    calibration = None if args.cosine else opened.calibration
    cosine, llr = comparison.scores(x, *places, calibration, np.array(seconds))
    return (cosine, COSINE) if llr is None else (llr, RATIO)


def sources(args: argparse.Namespace, trials: "Trials") -> "dict[str, Clip]":
    """Where the audio of each id lies that the list names. Raises InputError for one that is not there."""
    from sslspk.api import recordings
    from sslspk.io import clips
    ids = sorted({*trials.enrol.tolist(), *trials.test.tolist()})
    if not args.data:
        return {name: recordings.of(os.path.join(args.audio, name)).source for name in ids}
    known = clips.read(args.data)
    missing = next((name for name in ids if name not in known), None)
    if missing is not None:
        raise InputError(f"{args.trials} names {missing}, which is no utterance of {args.data}; give the data directory of this list.")
    return {name: known[name] for name in ids}


def measured(args: argparse.Namespace, trials: "Trials", scores: "np.ndarray", ratios: bool = False,
             replicates: int | None = None) -> list[str]:
    """The figures of a list with labels, a line each. ratios: scores are log-likelihood ratios. replicates: of the bootstrap."""
    from sslspk.bin.metrics import measure
    from sslspk.metrics import report
    asked = argparse.Namespace(trials=args.trials, utt2spk=args.utt2spk, spk2gender=None, bootstrap=replicates, seed=0)
    figures = measure(asked, trials, scores)[0]
    return [f"{'list':<14} {args.trials} (md5 {figures['trials_md5']})", *report.lines(figures, ratios),
            *(f"note: {note}" for note in figures["notes"])]
