"""Writes for TensorBoard: figures in groups, the configuration as text and as hyperparameters, and some embeddings."""
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from sslspk.config import flat, to_whole_yaml
from sslspk.io import results
from sslspk.train.config import SystemConfig

EVALUATION, SPEED, COLLAPSE, SCHEDULE, LOSS, METHOD = "evaluation", "speed", "collapse", "schedule", "loss", "method"
GROUPS = (   # a figure is in the first group of which a word is part of its name; all others, such as accuracy, are in METHOD
    (EVALUATION, ("eval_", "valid_")), (SPEED, results.SPEED), (LOSS, ("loss", "nce")),
    (SCHEDULE, ("lr", "gradient_norm", "gate")),
    (COLLAPSE, ("entropy", "ln_K", "effective_rank", "uniformity", "alignment", "information", "perplexity", "off_diagonal", "frobenius")))
ENTROPIES = ("teacher_entropy", "student_entropy", "ln_K")   # drawn in one picture (tab Custom Scalars)


def tag(figure: str) -> str:
    """The name of a figure in TensorBoard: group/figure."""
    return next((f"{group}/{figure}" for group, words in GROUPS if any(word in figure for word in words)), f"{METHOD}/{figure}")


class Board:
    """EXP/tensorboard. start: the step at which a run resumes; figures of later steps from an earlier start are not shown."""

    def __init__(self, exp: Path, start: int):
        self.writer, self.start = SummaryWriter(str(exp / "tensorboard"), purge_step=start), start

    def describe(self, config: SystemConfig, entropies: bool) -> None:
        """The configuration, once for a run. entropies: the method has a teacher's and a student's, which are drawn with ln K."""
        if self.start:
            return
        indented = "".join(f"    {line}\n" for line in to_whole_yaml(config, "").splitlines())
        self.writer.add_text("configuration", indented)
        options = {key: value if isinstance(value, (bool, int, float, str)) else str(value)
                   for key, value in flat(config.model_dump(mode="json")).items()}
        scored = "eval_eer_percent" if config.train.eval_list else "eval_auc_percent" if config.train.eval_data else ""
        for summary in hparams(options, {tag(figure): 0.0 for figure in ("loss", scored) if figure}):
            self.writer.file_writer.add_summary(summary)
        if entropies:
            lines = {"entropies and their largest value": ["Multiline", [tag(figure) for figure in ENTROPIES]]}
            self.writer.add_custom_scalars({COLLAPSE: lines})

    def add(self, figures: Mapping[str, float], step: int) -> None:
        for figure, value in figures.items():
            self.writer.add_scalar(tag(figure), value, step)

    def embeddings(self, names: Iterable[str], speakers: Iterable[str], x: np.ndarray, step: int) -> None:
        """x (N, D) for the tab Projector, with the utterance and the speaker of each row."""
        if not len(x):
            return
        rows = [list(pair) for pair in zip(names, speakers, strict=True)]
        self.writer.add_embedding(x, rows, global_step=step, tag="held_out", metadata_header=["utterance", "speaker"])

    def close(self) -> None:
        self.writer.close()
