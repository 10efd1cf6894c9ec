"""The contract of a method: it owns encoder, heads, teacher and queue, and everything that must survive a resume is state."""
import abc
from dataclasses import dataclass

from torch import nn

from sslspk.data.config import Crop


@dataclass(frozen=True)
class Progress:
    """Where training stands: optimizer steps done so far, out of `total`, `per_epoch` of them an epoch."""

    step: int
    total: int
    per_epoch: int
    log: bool = False  # this step is logged: figures that cost time may be computed

    @property
    def epochs(self) -> float:
        """Epochs done so far, as a fraction."""
        return self.step / self.per_epoch


class Method(nn.Module, abc.ABC):
    """One self-supervised or supervised system.

    crops      what the loader must yield
    labels     whether it reads speaker labels (every result of such a system is marked)
    forward(views, labels, progress) -> {"loss": scalar, ...scalars to log}; views[c] is (V, B, T, F), labels (B,)
    evaluate   the name of the encoder that extraction uses unless told otherwise
    """

    crops: tuple[Crop, ...]
    labels = False
    evaluate: str

    @abc.abstractmethod
    def encoders(self) -> dict[str, nn.Module]:
        """The encoders that extraction may use, by name."""

    def after_backward(self, progress: Progress) -> None:
        """Called when the step's gradients are there, before they are clipped and used: freezing."""

    def after_step(self, progress: Progress) -> None:
        """Called after each optimizer step: moving averages, queues."""
