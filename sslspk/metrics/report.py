"""The figures of one scored trial list, as the dictionary that goes to JSON and as the lines that people read."""
from collections.abc import Mapping

import numpy as np

from sslspk.errors import InputError
from sslspk.io.trials import Trials
from sslspk.metrics import bootstrap, verification
from sslspk.metrics import speakers as of

P_TARGETS = (0.01, 0.05)
REPLICATES = 200
INTERVAL = "bias-corrected"   # what bootstrap.error_interval gives; results without the key hold percentiles


def report(trials: Trials, scores: np.ndarray, *, utt2spk: Mapping[str, str] | None = None,
           spk2gender: Mapping[str, str] | None = None, replicates: int | None = None, seed: int = 0) -> dict:
    """Everything measured on scores (N,) of N trials; rates in percent are named so, costs are normalised.

    replicates: of the bootstrap over speakers; 0 leaves it out, None takes 200 and leaves it out when the speakers cannot
    be told from the ids and no utt2spk is given ("bootstrap_note" then says why).
    Raises InputError as `verification.checked`, `speakers.of_trials` and `speakers.same_gender` do.
    """
    out = measures(scores, trials.target)
    needed = utt2spk is not None or spk2gender is not None or replicates
    speakers = None
    try:
        if needed or replicates is None:
            speakers = of.of_trials(trials, utt2spk)
            out["speakers"] = len(speakers.names)
            out |= _intervals(out, trials, scores, speakers, REPLICATES if replicates is None else replicates, seed)
    except InputError as err:
        if needed:
            raise
        out["bootstrap_note"] = f"no interval: {err}"
    if spk2gender is not None:
        chosen = of.same_gender(speakers, spk2gender)
        subset = measures(scores[chosen], trials.target[chosen])
        out |= {f"{key}_same_gender": value for key, value in subset.items()}
    return out


def measures(scores: np.ndarray, target: np.ndarray) -> dict:
    """EER, minDCF, actDCF and Cllr of scores (N,) with labels (N,), and how many trials of each kind there are."""
    det = verification.det_curve(scores, target)
    targets = int(np.count_nonzero(target))
    out = {"targets": targets, "nontargets": len(target) - targets, "eer_percent": 100 * verification.eer(det)}
    out |= {f"min_dcf_{p:g}": verification.min_dcf(det, p) for p in P_TARGETS}
    out |= {f"act_dcf_{p:g}": verification.act_dcf(scores, target, p) for p in P_TARGETS}
    return out | {"cllr": verification.cllr(scores, target)}


def _intervals(figures: dict, trials: Trials, scores: np.ndarray, speakers: of.TrialSpeakers, replicates: int, seed: int) -> dict:
    out = {"bootstrap_replicates": replicates}
    if not replicates:
        return out
    drawn = bootstrap.speaker_bootstrap(scores, trials.target, speakers.enrol, speakers.test,
                                        p_targets=P_TARGETS, replicates=replicates, seed=seed)
    replicates_of = {"eer_percent": 100 * drawn.eer} | {f"min_dcf_{p:g}": drawn.min_dcf[:, i] for i, p in enumerate(P_TARGETS)}
    for name, values in replicates_of.items():
        scale = 100 if name.endswith("_percent") else 1
        ends = bootstrap.error_interval(figures[name] / scale, values / scale, len(speakers.names))
        out[f"{name}_low"], out[f"{name}_high"] = (scale * end for end in ends)
    return out | {"bootstrap_seed": seed, "bootstrap_interval": INTERVAL}


def lines(figures: Mapping, ratios: bool = True) -> list[str]:
    """The report as text, one measure to a line. ratios: False of scores that are no log-likelihood ratios, without actDCF and Cllr."""
    out = [f"{'trials':<14} {figures['targets'] + figures['nontargets']} ({figures['targets']} target, "
           f"{figures['nontargets']} non-target)"]
    names = [("EER", "eer_percent", " %")]
    names += [(f"minDCF({p:g})", f"min_dcf_{p:g}", "") for p in P_TARGETS]
    if ratios:
        names += [(f"actDCF({p:g})", f"act_dcf_{p:g}", "") for p in P_TARGETS] + [("Cllr", "cllr", " bit")]
    for title, key, unit in names:
        line = f"{title:<14} {figures[key]:.4f}{unit}"
        if f"{key}_low" in figures:
            line += f"   95 % interval {figures[f'{key}_low']:.4f} to {figures[f'{key}_high']:.4f}"
        out.append(line)
    if figures.get("bootstrap_replicates"):
        out.append(f"{'bootstrap':<14} {figures['bootstrap_replicates']} replicates over {figures['speakers']} speakers")
    if "bootstrap_note" in figures:
        out.append(figures["bootstrap_note"])
    if "eer_percent_same_gender" in figures:
        out.append(f"{'same gender':<14} EER {figures['eer_percent_same_gender']:.4f} %, "
                   + ", ".join(f"minDCF({p:g}) {figures[f'min_dcf_{p:g}_same_gender']:.4f}" for p in P_TARGETS)
                   + f" ({figures['targets_same_gender']} target, {figures['nontargets_same_gender']} non-target)")
    return out
