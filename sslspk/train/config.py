"""The configuration of a whole system: one YAML per row of a paper's table (torch-free)."""
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from sslspk.config import Config, Size, differing, digest, flat
from sslspk.data.config import DataConfig
from sslspk.data.config_augment import AugmentConfig
from sslspk.encoders.config import EncoderConfig, reads_waveform
from sslspk.features.config import CmvnOptions, FeatureOptions
from sslspk.methods.config import MethodConfig, learns_from_frames

Share = Annotated[float, Field(ge=0, lt=1)]


class TrainConfig(Config):
    """Optimizer, schedule and bookkeeping of the training loop. Epochs may be fractions; `steps` beats `epochs`."""

    epochs: PositiveFloat = 70.0
    steps: PositiveInt | None = Field(None, description="train for this many optimizer steps instead of `epochs`")
    cpu_minutes: PositiveFloat | None = Field(None, description="train until this process has used so many minutes of CPU time, over all "
                                                                "starts, in place of `steps` and `epochs`; schedules follow the share of "
                                                                "the time that is used")
    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    nesterov: bool = False
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: PositiveFloat = Field(1e-8, description="Adam: number added to the root of the second moment")
    amsgrad: bool = False
    weight_decay: NonNegativeFloat = Field(1e-4, description="weight decay; not applied to biases and other one-dimensional parameters")
    lr: PositiveFloat = 0.005
    lr_batch: PositiveInt | None = Field(256, description="`lr` is for this batch size, and is scaled linearly to data.batch_size; null: "
                                                          "not scaled")
    schedule: Literal["cosine", "linear", "exponential", "constant"] = "cosine"
    warmup_epochs: NonNegativeFloat = 10.0
    warmup_steps: PositiveInt | None = Field(None, description="optimizer steps of warm-up, instead of warmup_epochs")
    hold_epochs: NonNegativeFloat = Field(0.0, description="exponential: epochs at the peak after the warm-up")
    halve_epochs: PositiveFloat = Field(10.0, description="exponential: epochs in which the rate halves")
    final_lr: NonNegativeFloat = 1e-6
    clip_norm: NonNegativeFloat = Field(0.0, description="largest norm of the gradient; 0: no limit")
    clip: Literal["all", "each"] = Field("all", description="whether clip_norm limits the gradient of all parameters together, or that of "
                                                            "each parameter")
    accumulate: Size = Field(1, description="forward passes per optimizer step; each processes a part of the batch")
    precision: Literal["float32", "bf16"] = "float32"
    compile: bool = Field(False, description="torch.compile the encoders, a graph for each crop length; the first steps take minutes")
    recompute: bool = Field(False, description="whether only the input of each block of the encoder is kept, and the block computed "
                                               "a second time in the backward pass: less memory, more time, the same results")
    log_every: PositiveInt = 10
    save_every: PositiveInt | None = Field(None, description="steps between checkpoints; null: one epoch")
    keep: PositiveInt = Field(3, description="number of checkpoints kept on disk")
    average: PositiveInt = Field(1, description="final.pt is the mean of this many last checkpoints")
    timeout_seconds: Size = Field(300, description="time that a rank waits for another that does not answer; if a rank dies, the job ends "
                                                   "at once")
    stop_on_collapse: bool = False
    analyse: bool = Field(False, description="read speaker labels for monitors alone (purity, quality of false-negative flags)")
    trainable: Literal["all", "affine", "head"] = Field("all", description="affine: only the encoder's last affine layers and the "
                                                                           "classifier; head: only the classifier; both also the weights "
                                                                           "over layers (encoder.pooling: layers). The rest is frozen, "
                                                                           "BatchNorm too")
    encoder_lr: PositiveFloat = Field(1.0, description="factor on the learning rate of the encoder below its last affine layers")
    layer_decay: float = Field(1.0, gt=0, le=1, description="each layer of the encoder has the learning rate of the layer above it times "
                                                            "this factor")
    valid: str | None = Field(None, description="data directory to judge each epoch: a classifier by its recall, a frame-level method by "
                                                "its loss; final.pt has the weights of the best epoch")
    patience: PositiveInt | None = Field(None, description="stop after so many epochs without a better result on `valid`; epochs of the "
                                                           "warm-up do not count")
    eval_data: str | None = Field(None, description="data directory of held-out recordings, to score the encoder while it trains and "
                                                    "fill TensorBoard's Projector; changes no weight; null: the folder of eval_list")
    eval_list: str | None = Field(None, description="trial list of eval_data, to compute EER and minDCF; null: the AUC of crops, without "
                                                    "labels")
    eval_every: PositiveFloat = Field(5.0, description="epochs between two scorings on eval_data")
    init_from: str | None = Field(None, description="start from the encoder of this final.pt, or of 'ARCH CHECKPOINT', a frame-level "
                                                    "model in torchaudio's format")
    init_part: Literal["encoder", "everything"] = Field("encoder", description="encoder: start only from the encoder; everything: also "
                                                                               "from all other parts of that run that fit (queue, key "
                                                                               "encoder, projection)")

    @model_validator(mode="after")
    def _has_momentum(self):
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0; set one, or leave nesterov out")
        return self


class SystemConfig(Config):
    """Everything that defines a run; exp/SYS/config.yaml holds exactly this and reproduces it."""

    reproduces: str = Field("", description="the row of a paper's table that this reproduces, and which values are our own choice")
    after: str | None = Field(None, pattern="^[^/]+$", description="system to start from; run.sh trains it first")
    seed: int = Field(0, ge=0)
    vad: bool = Field(False, description="remove silence when the audio is packed, in training and test data")
    features: FeatureOptions = FeatureOptions()
    cmvn: CmvnOptions = CmvnOptions()
    augment: AugmentConfig = AugmentConfig()
    data: DataConfig = DataConfig()
    encoder: EncoderConfig
    method: MethodConfig
    train: TrainConfig = TrainConfig()

    @property
    def waveform(self) -> bool:
        """Whether the encoder reads samples; features and cmvn are then not used, but for features.sample_frequency."""
        return reads_waveform(self.encoder)

    @property
    def num_features(self) -> int:
        """F, the columns of what the encoder reads; of a waveform 1."""
        return 1 if self.waveform else self.features.num_features

    @property
    def reads_frame_labels(self) -> bool:
        """Whether the method is told a label of each frame (data.frame_labels)."""
        return self.method.name == "cdsvae"

    @property
    def judged(self) -> bool:
        """Whether train.valid can judge an epoch: a classifier by its recall there, a method of frames by its loss."""
        return self.method.name == "supervised" or learns_from_frames(self.method)

    @property
    def idle_augmentation(self) -> str:
        """Options of augmentation without effect, since augment.dir is null: "noise_prob 0.4, reverb_prob 0.5"; or nothing."""
        if self.augment.dir or self.data.input == "feats":   # whose noisy copies are on disk
            return ""
        chances = {key: getattr(self.augment, key) for key in ("noise_prob", "reverb_prob", "speech_prob")}
        return ", ".join(f"{key} {value:g}" for key, value in chances.items() if value)

    @property
    def warning(self) -> str:
        """What a user should know before a training with this configuration; or nothing."""
        idle = self.idle_augmentation
        return idle and (f"warning: augment.dir is null, so these have no effect: {idle}; give --musan and --rirs to run.sh, or set "
                         "augment.dir.")

    @model_validator(mode="after")
    def _of_time(self):
        if self.train.cpu_minutes and self.data.workers != 0:
            raise ValueError("train.cpu_minutes cannot count what loader processes use while they work; set data.workers=0, or give "
                             "train.steps")
        return self

    @model_validator(mode="after")
    def _of_recomputation(self):
        if self.train.recompute and self.train.compile:
            raise ValueError("train.compile makes one graph of an encoder, train.recompute runs it block by block; leave one out")
        if self.train.recompute and self.train.trainable != "all":
            raise ValueError(f"train.recompute saves nothing in a frozen encoder (train.trainable: {self.train.trainable}); leave one out")
        if self.train.recompute and self.encoder.name == "dsvae":
            raise ValueError("encoder dsvae has no blocks that train.recompute could compute again; set train.recompute=false")
        return self

    @model_validator(mode="after")
    def _of_waveforms(self):
        name, rate = self.encoder.name, self.features.sample_frequency
        if self.waveform and self.data.input == "feats":
            raise ValueError(f"encoder {name} reads waveforms, but data.input is feats; use data.input=wave")
        if self.waveform and self.augment.specaug:
            raise ValueError(f"augment.specaug masks features, but encoder {name} reads waveforms; remove it")
        if self.waveform and self.encoder.rate != rate:
            raise ValueError(f"encoder.rate is {self.encoder.rate} and features.sample_frequency {rate:g}; make them equal")
        return self

    @model_validator(mode="after")
    def _of_frames(self):
        if hasattr(self.method, "require"):
            self.method.require(self.encoder, self.data.batch_size // self.train.accumulate)
        elif self.encoder.name == "dsvae":
            raise ValueError(f"encoder dsvae holds a decoder, which method {self.method.name} does not train; use another encoder")
        return self

    @model_validator(mode="after")
    def _of_frame_labels(self):
        if self.data.frame_labels is not None and not self.reads_frame_labels:
            raise ValueError(f"data.frame_labels are for method cdsvae, not {self.method.name}; remove them")
        odd = self.augment.speed_perturb or self.data.input == "feats" or self.features.feature_type == "fbank_db"
        if self.reads_frame_labels and odd:
            raise ValueError("labels of frames are of Kaldi's frames of waveforms at their own speed; remove augment.speed_perturb, "
                             "data.input=feats and feature_type: fbank_db")
        return self

    @model_validator(mode="after")
    def _inputs(self):
        if self.data.input == "feats" and self.augment.dir:
            raise ValueError("augment.dir mixes noise into waveforms, but data.input is feats; make noisy copies with "
                             "steps/augment_data.sh, or use data.input=wave")
        if self.data.input == "feats" and self.augment.speed_perturb:
            raise ValueError("augment.speed_perturb changes waveforms, but data.input is feats; remove it, or use data.input=wave")
        if self.data.input == "feats" and self.augment.degrade:
            raise ValueError("augment.degrade changes waveforms, but data.input is feats; remove it, or use data.input=wave")
        if self.data.input == "feats" and self.augment.on_device:
            raise ValueError("augment.on_device keeps noises for waveforms, but data.input is feats; remove it, or use data.input=wave")
        if self.data.input == "feats" and self.augment.grow:
            raise ValueError("augment.grow says how many waveforms get noise, but data.input is feats; remove it, or use data.input=wave")
        if self.data.input == "feats" and any(crop.layout == "triplet" for crop in self.method.crops):
            raise ValueError("crops of layout triplet are augmented as waveforms, but data.input is feats; use data.input=wave")
        return self

    @model_validator(mode="after")
    def _with_classes(self):
        wanted = {"train.trainable": self.train.trainable != "all",
                  "data.labels": self.data.labels != "utt2spk", "data.balance": self.data.balance != "none"}
        asked = [key for key, value in wanted.items() if value]
        if asked and self.method.name != "supervised":
            raise ValueError(f"{asked[0]} is for method supervised, not {self.method.name}; remove it")
        if self.train.valid is not None and not self.judged:
            raise ValueError(f"train.valid judges classifiers and methods of frames, not {self.method.name}; remove it")
        if self.data.balance != "none" and self.data.grow is not None:
            raise ValueError("data.balance draws from all utterances, data.grow from a growing part of them; leave one out")
        if self.train.patience and self.train.valid is None:
            raise ValueError("train.patience waits for a better epoch, but there is nothing to judge it by; give train.valid=DATA_DIR")
        if self.train.valid is not None and self.train.average > 1:
            raise ValueError("train.valid takes the best epoch's weights, train.average the mean of the last ones; leave one out")
        return self

    @model_validator(mode="after")
    def _batches(self):
        data = self.data
        if data.batches == "mixed":
            return self
        if data.grow is not None or data.same is not None or data.balance != "none" or (data.labels != "utt2spk" and data.reads_speakers):
            raise ValueError(f"data.batches of one {data.batches} allow no other way to draw (data.grow, same, balance, labels); leave "
                             "one out")
        if data.batches == "length" and (data.short != "whole" or data.draws_per_epoch > 1):
            raise ValueError("data.batches of one length are for short: whole and draws_per_epoch: 1; set these, or leave batches out")
        if data.draws_per_epoch > 1 and any(crop.layout == "first" for crop in self.method.crops):
            raise ValueError("data.batches of one speaker draw the first crop alone; use layout: independent, or draws_per_epoch: 1")
        return self

    @model_validator(mode="after")
    def _across_recordings(self):
        crops = self.method.crops
        if self.data.same is None:
            return self
        if self.method.name == "supervised" or sum(crop.count for crop in crops) < 2:
            raise ValueError(f"data.same draws views from several utterances; method {self.method.name} compares no views; remove it")
        if getattr(self.method, "positives", None):
            raise ValueError("data.same draws the views of a pair from several utterances, method.positives replaces one by another "
                             "utterance's; leave one out")
        odd = next((crop.layout for crop in crops if crop.layout != "independent"), None)
        if odd is not None:
            raise ValueError(f"data.same draws views from several utterances, crops of layout {odd} are of one; use layout: independent")
        if self.data.grow is not None:
            raise ValueError("data.same draws from all utterances, data.grow from a growing part of them; leave one out")
        return self


# these may differ between two starts of one run: they change speed or bookkeeping, never the result
FREE = {"reproduces": True, "after": True, "data": {"workers"}, "augment": {"on_device"},
        "train": {"log_every", "keep", "timeout_seconds", "stop_on_collapse", "analyse", "eval_data", "eval_list", "eval_every",
                  "recompute"}}


def config_hash(config: SystemConfig) -> str:
    """Twelve digits that two runs share when their results must be the same."""
    return digest(config, FREE)


def differences(old: SystemConfig, new: SystemConfig) -> list[str]:
    """'key = old, asked for new' for each key that matters and differs."""
    found = differing([flat(config.model_dump(mode="json", exclude=FREE)) for config in (old, new)])
    return [f"{key} = {was}, asked for {wanted}" for key, (was, wanted) in found.items()]
