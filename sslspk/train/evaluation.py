"""Scores the encoder on held-out recordings during the training (train.eval_data, eval_list, eval_every). This changes no weight.

With a list of trials: EER and minDCF of the cosine, of whole utterances, as steps/extract_embeddings.sh and steps/score.sh give them.
Without one: how often two crops of a recording are closer than crops of two recordings (AUC), as steps/judge_embeddings.sh has it.
"""
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sslspk.backend.cosine import Cosine
from sslspk.corpora import own
from sslspk.encoders import together
from sslspk.errors import InputError
from sslspk.features import cmvn
from sslspk.io import ark, clips, files, silence, table
from sslspk.io import trials as trial_list
from sslspk.io.clips import Clip
from sslspk.metrics import label_free, report, verification
from sslspk.nn import comm
from sslspk.train.checkpoint import at
from sslspk.train.config import SystemConfig
from sslspk.train.frontend import FrontEnd
from sslspk.train.model import Model

if TYPE_CHECKING:
    from sslspk.train.job import Job
    from sslspk.train.log import TrainLog

SECONDS, SHORTEST = 3.0, 0.5   # of a crop; shorter ones are left out
MOST = 1000       # utterances of which crops are taken
SHOWN = 300       # embeddings that TensorBoard's projector shows
LEAST = -1e30     # below any score
P_TARGET = report.P_TARGETS[0]
NOTHING = {"by": "", "step": 0, "score": LEAST, "earlier": []}   # the best evaluation before there is any


class Found(NamedTuple):
    """score: higher is better. figures: what the log shows. text: for the log."""

    score: float
    figures: dict[str, float]
    text: str


class Evaluation:
    """The held-out data on which a training is scored. `by` names them; scores are compared only where it is the same."""

    def __init__(self, config: SystemConfig, front_end: FrontEnd):
        """Raises InputError: recordings or a list that cannot be read, a trial of an utterance that the data lack."""
        train = config.train
        self.config, self.front_end = config, front_end
        self.data = Path(train.eval_data or Path(train.eval_list).parent)
        wave = (self.data / "wav.scp").exists()
        self.sources: dict[str, Clip | str] = clips.read(self.data) if wave else table.read(self.data / "feats.scp")
        self.warning = silence.warning("this training", config.vad, self.sources.values(), self.data)
        self.embeddings: tuple[list[str], np.ndarray] = [], np.zeros((0, 0))
        self.trials = None
        if train.eval_list:
            self._read_trials(train.eval_list)
        else:
            known = self.data / own.RECORDINGS
            self.recordings = table.read(known) if known.exists() else {utt: utt for utt in self.sources}
            missing = next((utt for utt in self.sources if utt not in self.recordings), None)
            if missing is not None:
                raise InputError(f"{known} lacks {table.named(missing)} of {self.data}; complete it, or remove it.")
            kept = {utt: self.recordings[utt] for utt in self.sources}
            self.utts = sorted(self.sources) if len(kept) <= MOST else own.draw(kept, MOST, MOST, 0)[0]
            self.by = f"crops of {len(self.utts)} recordings in {self.data.name}"

    def _read_trials(self, path: str) -> None:
        self.trials = trial_list.read(path)
        try:
            verification.checked(np.zeros(len(self.trials.enrol)), self.trials.target)
        except InputError as err:
            raise InputError(f"{path}: {err}") from None
        self.utts = np.unique(np.concatenate([self.trials.enrol, self.trials.test])).tolist()
        trial_list.lookup(np.array(self.utts), list(self.sources), str(self.data))
        self.rows = [trial_list.lookup(names, self.utts, path) for names in (self.trials.enrol, self.trials.test)]
        self.by = f"{Path(path).name}, md5 {files.md5(path)[:8]}"

    def measure(self, method: nn.Module) -> Found:
        """Score the encoder that extraction uses. All ranks must call it; each embeds its share, and all get the same figures."""
        encoder, device = method.encoders()[method.evaluate], next(method.parameters()).device
        with undisturbed(encoder, device, self.config.train.compile):
            x, there = self._embed(encoder, device)
        values = torch.full((2,), float("nan"), dtype=torch.float64, device=device)
        if comm.rank() == 0:
            names = [utt for utt, have in zip(self.utts, there, strict=True) if have]
            step = -(-len(names) // SHOWN) or 1
            self.embeddings = names[::step], x[there][::step, 0]
            values = torch.tensor(self._figures(x[there], names), dtype=torch.float64, device=device)
        first, second = comm.from_first_rank(values).tolist()
        if self.trials is None:
            return Found(first, {"eval_auc_percent": first, "eval_effective_rank": second},
                         f"AUC {first:.2f} %, effective rank {second:.1f}")
        return Found(-first, {"eval_eer_percent": first, f"eval_min_dcf_{P_TARGET:g}": second},
                     f"EER {first:.2f} %, minDCF({P_TARGET:g}) {second:.3f}")

    def shown(self) -> tuple[list[str], list[str], np.ndarray]:
        """(utterances, speakers where utt2spk names them, x (N, D)) of the latest scoring, at most SHOWN of them."""
        names, x = self.embeddings
        speakers = self.data / "utt2spk"
        known = table.read(speakers) if speakers.exists() else {}
        return names, [known.get(name, "") for name in names], x

    def _embed(self, encoder: nn.Module, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
        """(N, P, D) of N utterances, P = 1 embedding of the whole or 2 of crops; (N,) bool: which are long enough."""
        model = Model(self.config, self.front_end, encoder, {})
        x = torch.zeros(len(self.utts), 1 if self.trials else 2, encoder.embed_dim)
        rows = []

        def inputs() -> Iterator[Tensor]:
            for i in range(comm.rank(), len(self.utts), comm.world_size()):
                for place, part in enumerate(self._inputs(model, self.utts[i])):
                    rows.append((i, place))
                    yield part
        for number, embedding in enumerate(together.encoded(encoder, inputs(), alone=True)):
            x[rows[number]] = torch.from_numpy(embedding)
        there = torch.zeros(len(self.utts))
        there[[i for i, _ in rows]] = 1
        x, there = comm.sum_over_ranks(x.to(device)), comm.sum_over_ranks(there.to(device))
        return x.cpu().numpy(), there.cpu().numpy() > 0

    def _inputs(self, model: Model, utt: str) -> list[Tensor]:
        """What the encoder reads of an utterance: the whole, or its two ends; nothing where these are too short."""
        source = self.sources[utt]
        if self.trials is not None:
            return [model.features(utt, source)]
        if isinstance(source, Clip):
            rate = model.config.features.sample_frequency
            return [model.read(torch.from_numpy(part)) for part in _ends(clips.utterance(utt, source, rate), rate)]
        frames = _ends(ark.load(source), 1000 / model.config.features.frame_shift)
        return [cmvn.apply(torch.from_numpy(part)[None].to(model.device), model.config.cmvn) for part in frames]

    def _figures(self, x: np.ndarray, names: list[str]) -> tuple[float, float]:
        """EER and minDCF, or AUC and effective rank, of x (N, P, D); NaN where an embedding has no direction."""
        try:
            if self.trials is not None:
                cosine = Cosine()
                cosine.check(x[:, 0], names)
                det = verification.det_curve(cosine.score_trials(x[:, 0], x[:, 0], *self.rows), self.trials.target)
                return 100 * verification.eer(det), verification.min_dcf(det, P_TARGET)
            utts = np.repeat(names, 2)
            found = label_free.judge(x.reshape(-1, x.shape[-1]), utts, [self.recordings[utt] for utt in utts.tolist()], str(self.data))
            return found["auc_percent"], found["effective_rank"]
        except InputError as err:
            print(f"warning: the encoder could not be scored: {err}", flush=True)
            return float("nan"), float("nan")


@contextlib.contextmanager
def undisturbed(module: nn.Module, device: torch.device, compiled: bool):
    """Runs in eval mode without gradients; afterwards it restores the mode of each part and the random state.

    compiled: by torch.compile, which is left out here: the many lengths would use up its limit of recompilations.
    """
    modes = {part: part.training for part in module.modules()}
    eager = torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext()
    with torch.random.fork_rng([device] if device.type == "cuda" else []), eager, torch.no_grad():
        module.eval()
        try:
            yield
        finally:
            for part, mode in modes.items():
                part.training = mode


def _ends(x: np.ndarray, rate: float) -> list[np.ndarray]:
    """The first and the last SECONDS of x (S,) or (T, F), or its halves; nothing where these are below SHORTEST."""
    size = int(min(SECONDS * rate, len(x) / 2))
    return [x[:size], x[-size:]] if size >= SHORTEST * rate else []


def build(config: SystemConfig, front_end: FrontEnd) -> Evaluation | None:
    """What a training is scored on; None where nothing is given."""
    return Evaluation(config, front_end) if config.train.eval_data or config.train.eval_list else None


def is_due(job: "Job") -> bool:
    """Whether the step just done ends eval_every epochs, or the training."""
    every = max(1, round(job.config.train.eval_every * job.dataset.steps_per_epoch))
    return job.evaluation is not None and (job.step % every == 0 or job.step == job.total)


def evaluate(job: "Job", log: "TrainLog") -> bool:
    """Score the weights, and log it; whether they are the best so far."""
    began, evaluation = time.perf_counter(), job.evaluation
    with job.budget.paused() if job.budget else contextlib.nullcontext():
        found = evaluation.measure(job.method)
    better = found.score > job.evaluated["score"]   # nor where it is NaN
    said = f"{found.text} on {evaluation.by}" + (" (the best so far)" if better else "")
    log.evaluated(job.step, job.step / job.dataset.steps_per_epoch, found.figures, said, time.perf_counter() - began)
    if better:
        earlier = [*job.evaluated["earlier"], job.evaluated["step"]]
        job.evaluated = {"by": evaluation.by, "step": job.step, "score": found.score, "earlier": earlier}
    return better


def restored(job: "Job", found: dict | None) -> dict:
    """The best evaluation so far, as stored in a checkpoint; discarded if the data differ or its checkpoint is gone."""
    if not found or not at(job.exp, found["step"]).exists() or (job.evaluation and found["by"] != job.evaluation.by):
        return {**NOTHING}
    return found


def summary(evaluated: dict) -> dict:
    """What final.pt's info says: the best step, by which figure, and where its weights are."""
    if not evaluated["step"]:
        return {}
    return {"evaluated": {"by": evaluated["by"], "best_step": evaluated["step"], "percent": abs(evaluated["score"])}}
