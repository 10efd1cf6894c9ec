"""Configuration of PASE and PASE+ (torch-free): the workers and their targets."""
import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, model_validator

from sslspk.config import Config, Few, Size
from sslspk.data.config import Crop
from sslspk.features.config_targets import TargetConfig
from sslspk.methods.config_frames import require_encoder, require_rows, require_steps


class WaveformWorkerConfig(Config):
    """Reconstruct the clean waveform: transposed convolutions, a hidden layer, mean absolute difference. The names are the authors'."""

    name: Literal["cchunk"] = "cchunk"
    weight: NonNegativeFloat = 1.0
    channels: tuple[Size, ...] = Field((512, 256, 128), min_length=1)
    kernels: tuple[Few, ...] = Field((30, 30, 30), min_length=1)
    strides: tuple[Few, ...] = Field((4, 4, 10), min_length=1,
                                     description="strides of the transposed convolutions; their product is the samples per encoder step")
    hidden_dim: Size = 64

    @property
    def step_samples(self) -> int:
        return math.prod(self.strides)

    @model_validator(mode="after")
    def _layers(self):
        if not len(self.channels) == len(self.kernels) == len(self.strides):
            raise ValueError(f"there are {len(self.channels)} channels, {len(self.kernels)} kernels and {len(self.strides)} strides; give "
                             "as many of each")
        if any(kernel < stride or (kernel - stride) % 2 for kernel, stride in zip(self.kernels, self.strides, strict=True)):
            raise ValueError("a kernel must be longer than its stride by an even number of samples, or as long; change either")
        return self


class RegressionWorkerConfig(TargetConfig):
    """Predict features of the clean waveform by one hidden layer: mean squared difference."""

    weight: NonNegativeFloat = 1.0
    hidden_dim: Size = 256
    context: Few = Field(1, description="frames predicted from each step: its own and its neighbours; an odd number, 7 in PASE+")

    @model_validator(mode="after")
    def _odd(self):
        if self.context % 2 == 0:
            raise ValueError(f"context is as many frames before a step as after it, and its own: an odd number, not {self.context}")
        return self


class PairWorkerConfig(Config):
    """Tell another crop of the recording from one of another recording. mi: step by step (LIM); cmi: by their means over time (GIM)."""

    name: Literal["mi", "cmi"]
    weight: NonNegativeFloat = 1.0
    hidden_dim: Size = 256
    symmetric: bool = Field(False, description="use each pair and non-pair also in the reverse order")


class OrderWorkerConfig(Config):
    """Tell later from earlier steps (sequence predicting coding)."""

    name: Literal["spc"] = "spc"
    weight: NonNegativeFloat = 1.0
    hidden_dim: Size = 256
    length: Few = Field(5, description="number of steps that are shown")
    gap: Few = Field(16, description="least number of steps between the step and the steps that are shown")

    @property
    def needed_steps(self) -> int:
        return 2 * (self.gap + self.length) + 1


class FutureWorkerConfig(Config):
    """Predict the last steps of a crop from a recurrent context of those before, among the steps of other recordings (CPC)."""

    name: Literal["cpc"] = "cpc"
    weight: NonNegativeFloat = 1.0
    context_dim: Size = 256
    steps: Few = Field(12, description="number of steps that are predicted, each by a predictor of its own")

    @property
    def needed_steps(self) -> int:
        return self.steps + 1


WorkerConfig = Annotated[WaveformWorkerConfig | RegressionWorkerConfig | PairWorkerConfig | OrderWorkerConfig | FutureWorkerConfig,
                         Field(discriminator="name")]
PASE_WORKERS = (WaveformWorkerConfig(), RegressionWorkerConfig(name="lps"), RegressionWorkerConfig(name="mfcc"),
                RegressionWorkerConfig(name="prosody"), OrderWorkerConfig(), PairWorkerConfig(name="mi"), PairWorkerConfig(name="cmi"))


class PaseConfig(Config):
    """The problem-agnostic speech encoder (Pascual et al. 2019), whose workers are the defaults; PASE+ (Ravanelli et al. 2020) has others.

    crops: the first one is what the workers see; of layout twin, what they predict is its clean copy. mi and cmi take a second one.
    """

    frames: ClassVar[bool] = True   # see methods.config.learns_from_frames
    weights: ClassVar[tuple[str, ...]] = ("encoder",)
    name: Literal["pase"] = "pase"
    crops: tuple[Crop, ...] = (Crop(count=1, seconds=1.0), Crop(count=1, seconds=1.0))
    workers: tuple[WorkerConfig, ...] = Field(PASE_WORKERS, min_length=1)
    statistics_batches: int = Field(20, ge=0, le=1000, description="training batches whose mean and deviation standardise the "
                                    "features that are predicted; 0: as they are")
    evaluate: Literal["encoder"] = "encoder"

    @property
    def compares(self) -> bool:
        """Whether a worker needs a second crop of each recording."""
        return any(worker.name in ("mi", "cmi") for worker in self.workers)

    def least_steps(self, encoder: Config) -> tuple[int, str]:
        """How many steps of that encoder a crop must have, and the option that asks for them."""
        return max((worker.needed_steps for worker in self.workers if worker.name in ("spc", "cpc")), default=1), "workers"

    @model_validator(mode="after")
    def _crops(self):
        names = [worker.name for worker in self.workers]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"worker {twice} is there twice; remove one")
        if len(self.crops) != 1 + self.compares or any(crop.count != 1 + (i == 0 and crop.layout == "twin") for i, crop in
                                                       enumerate(self.crops)):
            how = "two crops, for mi and cmi" if self.compares else "one crop, since neither mi nor cmi is there"
            raise ValueError(f"method pase needs {how}, of one view each (the first: two if its layout is twin)")
        if len({crop.seconds for crop in self.crops}) > 1:
            raise ValueError("both crops pass through the encoder together; make their seconds equal")
        return self

    def require(self, encoder: Config, rows: int) -> None:
        """Raises ValueError where this method cannot learn with that encoder from `rows` recordings at a time."""
        require_encoder(self, encoder, ("pase", "cpc"))
        require_steps(self, encoder)
        decoder = next((worker for worker in self.workers if worker.name == "cchunk"), None)
        if decoder and decoder.step_samples != encoder.step_samples:
            raise ValueError(f"worker cchunk makes {decoder.step_samples} samples of a step, the encoder a step of {encoder.step_samples}; "
                             "change either's strides")
        if self.compares or any(worker.name == "cpc" for worker in self.workers):
            require_rows(rows)
