"""Warns of trainings that fail although the loss looks normal: a collapse, or a term of the loss without effect."""
import math

from sslspk.nn import quantise

CORRECTED = 0.8  # share of labels that the network replaces by its own view: above it, it teaches itself whatever it says
CLOSE = -0.05  # uniformity of unit vectors whose cosines are 0.99 on average
COVERAGE = "positives_coverage"  # share of recordings whose positive is another recording's (method.positives)
EMPTY = 0.1  # nats: a latent with less says nothing (C-DSVAE's content by the frame, its speaker by the crop)
EDGE = 0.02  # of ln K: a mean teacher entropy this close to 0 or to ln K carries no information


class Watch:
    """Checks the averages of each log line; returns new warnings (each kind only once).

    prototypes: K of a method with a teacher's entropy (None: only the rank of the embeddings is watched). The first epoch is not judged,
    since the teacher has not learnt anything yet. begun: epochs done before this start of the run. code_groups: groups of code words of a
    method with a quantiser.
    """

    def __init__(self, prototypes: int | None, begun: float = 0.0, code_groups: int = 0):
        self.prototypes, self.code_groups, self.said = prototypes, code_groups, set()
        self.before, self.zero_since = begun, {}   # epochs at the last line; of each term that is 0, since when

    def collapse(self, figures: dict[str, float], epochs: float) -> str | None:
        """Signs of a collapse of the embeddings."""
        kind, text = self._judge(figures) if epochs >= 1 else (None, "")
        if kind is None or kind in self.said:
            return None
        self.said.add(kind)
        return f"collapse: {text}."

    def idle(self, figures: dict[str, float], epochs: float) -> str | None:
        """Which terms of the loss (figures called loss_X), or all of it, have been 0 for a whole epoch, or found no positive in one."""
        terms = {key for key, value in figures.items() if ("loss_" in key or key.endswith("loss") or key == COVERAGE) and value == 0}
        self.zero_since = {key: self.zero_since.get(key, self.before) for key in terms}
        self.before = epochs
        new = sorted(key for key, since in self.zero_since.items() if epochs - since >= 1 and key not in self.said)
        if not new:
            return None
        self.said.update(new)
        if COVERAGE in new:
            return (f"{COVERAGE} has been 0 for a whole epoch: no utterance got another one as its positive; raise "
                    "method.positives.queue_size, or lower method.positives.clusters.")
        return (f"{', '.join(new)} {'has' if len(new) == 1 else 'have'} been 0 for a whole epoch: that part of the loss teaches nothing; "
                "correct its options, or leave it out.")

    def _judge(self, figures: dict[str, float]) -> tuple[str | None, str]:
        """(kind, what it means and what to do about it), or None as the kind."""
        if self.prototypes and "teacher_information" in figures:   # of which an assignment to one prototype each has most
            top, said = math.log(self.prototypes), figures["teacher_information"]
            if said < EDGE * top:
                return "same", ("the teacher's outputs are almost equal for all utterances; lower train.lr, or raise "
                                "method.sinkhorn_iterations, method.me_max and data.batch_size")
        elif self.prototypes and "teacher_entropy" in figures:
            top, entropy = math.log(self.prototypes), figures["teacher_entropy"]
            said = f"(entropy {entropy:.2f}, ln K {top:.2f})"
            if entropy > (1 - EDGE) * top:
                return "uniform", (f"the teacher's outputs are almost uniform {said}; lower method.teacher_temp or train.lr, or raise "
                                   "method.centre_momentum")
            if entropy < EDGE * top:
                return "point", (f"the teacher uses few prototypes {said}; raise method.teacher_temp, or lower method.centre_momentum")
        if figures.get("effective_rank", 9.0) < 2.0:
            frozen = self.prototypes and "teacher_information" not in figures   # the last layer of DINO
            knob = "method.freeze_last_layer_epochs" if frozen else "data.batch_size"
            return "rank", (f"the embeddings vary in one direction only (effective rank {figures['effective_rank']:.1f}); lower train.lr, "
                            f"or raise {knob}")
        if figures.get("uniformity", -1.0) > CLOSE:
            return "one", (f"all embeddings are almost equal (uniformity {figures['uniformity']:.2g}); lower train.lr, or raise "
                           "data.batch_size and the weights of the terms that spread them")
        if figures.get("kl_content", 9.0) < EMPTY:
            return "content", (f"the content latent holds almost no information ({figures['kl_content']:.2g} nats a frame); lower "
                               "method.beta, or set method.reconstruction to sum")
        if figures.get("kl_speaker", 9.0) < EMPTY:
            return "speaker", (f"the speaker latent holds almost no information ({figures['kl_speaker']:.2g} nats a crop); lower "
                               "method.alpha, or set method.reconstruction to sum")
        if quantise.collapsed(figures, self.code_groups):
            return "codes", (f"nearly all steps get the same code word (code_perplexity {figures['code_perplexity']:.2f}); lower train.lr, "
                             "or change the quantiser's options (its depth, gumbel_decay, diversity)")
        if figures.get("corrected", 0.0) > CORRECTED:
            return "corrected", (f"the network replaces {100 * figures['corrected']:.0f} % of the labels by its own predictions; set "
                                 "method.gate.correct_growth or method.relabel.growth to 1, or start later")
        return None, ""
