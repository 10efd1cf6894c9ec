"""The collapse watch: DINO can fail silently, with a loss that looks calm. Say so, and say which knob to turn."""
import math

EDGE = 0.02  # of ln K: a mean teacher entropy this close to 0 or to ln K carries no information


class CollapseWatch:
    """Looks at each log line's averages; returns a warning (once per kind) or None.

    out_dim: K (None: the method has no prototypes, nothing is watched). The first epoch is not judged: there a teacher
    that has learnt nothing yet is to be expected.
    """

    def __init__(self, out_dim: int | None):
        self.out_dim, self.said = out_dim, set()

    def look(self, figures: dict[str, float], epochs: float) -> str | None:
        if self.out_dim is None or "teacher_entropy" not in figures or epochs < 1:
            return None
        top, entropy = math.log(self.out_dim), figures["teacher_entropy"]
        if entropy > (1 - EDGE) * top:
            kind, text = "uniform", ("the teacher gives every recording the uniform distribution "
                                     f"(entropy {entropy:.2f} of ln K = {top:.2f}): lower method.teacher_temp, check that "
                                     "train.lr fits the batch size, raise method.centre_momentum")
        elif entropy < EDGE * top:
            kind, text = "point", (f"the teacher puts every recording on few prototypes (entropy {entropy:.2f} of ln K = "
                                   f"{top:.2f}): raise method.teacher_temp, lower method.centre_momentum")
        elif figures.get("effective_rank", 9.0) < 2.0:
            kind, text = "rank", (f"the embeddings lie on a line (effective rank {figures['effective_rank']:.1f}): lower "
                                  "train.lr, freeze the last layer for longer (method.freeze_last_layer_epochs)")
        else:
            return None
        if kind in self.said:
            return None
        self.said.add(kind)
        return f"collapse: {text}."
