"""The interface of a method. It owns encoder, heads, teacher and queue; all that a resumed training needs is in its state_dict()."""
import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sslspk.data.config import Crop
from sslspk.errors import InputError
from sslspk.nn import comm


class Batch(NamedTuple):
    """The input of a forward pass: features of the views, and which recordings they are of.

    views    one tensor (V, B, T, F) for each Crop of the method; waveforms (V, B, S) where the encoder reads them
    labels   (B,) int64 speakers, -1 where the method does not read labels or a recording has none
    units    (B,) int64 recordings, as positions in the training set's index
    watched  (B,) int64 speakers for monitors alone (train.analyse), or None: no loss may depend on them
    frame_labels  (B, T) int64 labels of the frames of the first crop (data.frame_labels), or None
    speeds   (B,) int64 percent of its speed at which each recording is played (augment.speed_perturb), or None
    """

    views: list[Tensor]
    labels: Tensor
    units: Tensor
    watched: Tensor | None = None
    frame_labels: Tensor | None = None
    speeds: Tensor | None = None


class Plain(NamedTuple):
    """This rank's share of the training set, embedded without augmentation: (N, D), (N,) recordings, (N,) speakers for monitors."""

    embeddings: Tensor
    units: Tensor
    watched: Tensor | None = None


class Corpus(NamedTuple):
    """How much there is to learn from: recordings, and classes: speakers, or what data.labels says (0 when labels are not read).

    read_model: the path of a final.pt -> (weights of its encoder, all that it holds), for methods that learn from a trained model.
    sessions: of each recording the number of its session, for monitors alone, where that is known.
    frame_classes: how many labels of frames there are (data.frame_labels); 0: none.
    """

    recordings: int
    classes: int
    read_model: Callable[[str], tuple[dict, dict]] | None = None
    sessions: Sequence[int] | None = None
    frame_classes: int = 0


@dataclass(frozen=True)
class Progress:
    """Where training stands: optimizer steps done so far, out of `total`, `per_epoch` of them an epoch.

    A step may take several forward passes (train.accumulate): this is `part` of `parts`. seed: the run's.
    """

    step: int
    total: int
    per_epoch: int
    log: bool = False  # this step is logged: figures that cost time may be computed
    part: int = 0
    parts: int = 1
    seed: int = 0

    @property
    def epochs(self) -> float:
        """Epochs done so far, as a fraction."""
        return self.step / self.per_epoch

    @property
    def passes(self) -> int:
        """Forward passes done so far."""
        return self.step * self.parts + self.part

    @property
    def draw(self) -> int:
        """The seed for random numbers of a forward pass: different for each pass and each seed of the run."""
        return (self.passes + self.seed * 0x9E3779B97F4A7C15) % 2 ** 63


def require_others(count: int) -> None:
    """Raises InputError where there are fewer than two candidates (of all ranks together) to tell apart."""
    if count < 2:
        raise InputError("a batch needs at least two utterances; raise data.batch_size.")


def of_another(x: Tensor, generator: torch.Generator) -> Tensor:
    """(B, ...) of this rank's recordings -> the same of another recording each, the one some places further on in the batch of all ranks.

    generator: on the CPU and the same on every rank, so that two ranks compute what one computes. Raises InputError as require_others.
    """
    count = len(x) * comm.world_size()
    require_others(count)
    further = 1 + int(torch.randint(count - 1, (), generator=generator))
    return comm.gather_with_gradient(x).roll(-further, 0)[comm.rows_of_this_rank(len(x))]


def weighted_sum(terms: dict[str, tuple[float, Tensor]]) -> dict[str, Tensor]:
    """{loss_X: (weight, term)} -> the loss, and each term times its weight, to log. A term of weight 0 is not logged."""
    weighted = {name: weight * term for name, (weight, term) in terms.items()}
    return {"loss": sum(weighted.values()), **{name: term.detach() for name, term in weighted.items() if terms[name][0]}}


class Method(nn.Module, abc.ABC):
    """One self-supervised or supervised system.

    crops       what the loader must yield
    labels      which speaker labels it learns from, as every result of it will say: none, speaker, speaker (15 %)
    forward(batch, progress) -> {"loss": scalar, ...scalars to log}; the terms of a sum are logged as loss_X, which a watch reads
    evaluate    the name of the encoder that extraction uses unless told otherwise
    classifier  embeddings (B, D) -> scores (B, classes); only methods that end in classes have one
    code_groups groups of code words of a method with a quantiser, which logs code_perplexity
    """

    crops: tuple[Crop, ...]
    labels = "none"
    evaluate: str
    code_groups = 0

    @abc.abstractmethod
    def encoders(self) -> dict[str, nn.Module]:
        """The encoders that extraction may use, by name."""

    def backbones(self) -> list[nn.Module]:
        """The bare encoders that train.init_from fills: student and teacher, query and key."""
        return list(self.encoders().values())

    def undecayed(self) -> list[nn.Parameter]:
        """Matrices without weight decay, such as prototypes that are normalised before use."""
        return []

    def before_epoch(self, embed_all: Callable[[nn.Module], Plain], progress: Progress) -> dict[str, Tensor]:
        """Called before the first step of each epoch; embed_all(encoder) embeds the whole training set. Returns figures to log."""
        return {}

    def after_backward(self, progress: Progress) -> None:
        """Called after backward, before the gradients are clipped and used; for freezing."""

    def after_step(self, progress: Progress) -> None:
        """Called after each optimizer step: moving averages, queues."""


class LabelledSpeakers(nn.Module):
    """The speakers whose labels a method may use: forward(labels (B,)) -> labels with -1 in the place of all others.

    share: of the corpus's speakers, drawn at random. The draw depends on the run's seed alone, so that systems that start from each
    other see the labels of the same speakers (the smaller share is part of the larger), and is part of the state.
    """

    def __init__(self, share: float, corpus: Corpus, who: str):
        super().__init__()
        self.share, count = share, round(share * corpus.classes)
        if share > 0 and count < 2:
            raise InputError(f"{who} with labels of {100 * share:g} % of the speakers needs at least 2 of them, and utt2spk holds "
                             f"{corpus.classes}; raise method.labelled_share, or add data.")
        chosen = torch.zeros(corpus.classes, dtype=torch.bool)
        chosen[torch.randperm(corpus.classes, generator=torch.Generator().manual_seed(torch.initial_seed()))[:count]] = True
        self.register_buffer("chosen", chosen)

    def describe(self) -> str:
        """What a result says of the labels used."""
        if not self.share:
            return "none"
        return "speaker" if self.share == 1 else f"speaker ({100 * self.share:g} %)"

    def forward(self, labels: Tensor) -> Tensor:
        if not self.share:
            return torch.full_like(labels, -1)
        return labels.where((labels >= 0) & self.chosen[labels.clamp_min(0)], -1)
