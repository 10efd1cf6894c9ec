"""What the training data look like: waveforms or features, crops, and what happens to utterances shorter than a crop (torch-free)."""
from typing import Literal

from pydantic import Field, PositiveFloat, model_validator

from sslspk.config import Config, Few, Seconds, Size


class Crop(Config):
    """`count` views of `seconds` each, drawn from one utterance.

    layout: where the views lie in the utterance, and what is done to each.
        independent  each is drawn and augmented independently; if an utterance has noisy copies, each view may come from another copy
        disjoint     parts of one utterance that do not overlap, in random order, each augmented for itself (Huh et al. 2020).
                     An utterance shorter than count * seconds is too short for that: its views are spread evenly from its
                     start to its end, and overlap no more than they must
        triplet      (segment 1, augmentation A), (segment 2, A), (segment 2, B): disjoint segments for augmentation adversarial
                     training (Huh et al. 2020, arXiv 2007.12085). A is one noise slice, SNR, room, equaliser, gain and mask
        twin         two views of the same samples: one as it is augmented, and one clean but for the change of level
        first        from the first sample on, one after the other; where the utterance ends, the last ones lie at its end.
                     With data.draws_per_epoch 2 or more the next crops are drawn too, as far as the utterance holds them
    clean: neither noise, room, equaliser, gain, degradation nor masks (a change of speed is the utterance's, and stays)
    own_speed: not even a change of speed (augment.speed_perturb)
    """

    count: Few
    seconds: Seconds
    layout: Literal["independent", "disjoint", "triplet", "twin", "first"] = "independent"
    clean: bool = False
    own_speed: bool = False

    @model_validator(mode="after")
    def _three(self):
        if self.layout == "triplet" and self.count != 3:
            raise ValueError(f"layout triplet is three views, not {self.count}; set count to 3")
        if self.layout == "twin" and (self.count != 2 or self.clean):
            raise ValueError("layout twin is two views, one augmented and one clean; set count to 2 and leave clean out")
        return self


class GrowConfig(Config):
    """A training set that grows (Heo et al. 2022, arXiv 2203.14525): at first only a share of it is drawn from.

    The share at the start of an epoch counts for the whole epoch. An epoch has as many steps as without this.
    """

    start_share: float = Field(0.25, gt=0, le=1, description="share of the utterances or speakers in the first epoch")
    epochs: PositiveFloat = Field(description="epochs after which the share has risen linearly to 1")
    by: Literal["recording", "speaker"] = Field("recording", description="what is added in random order: single utterances, or speakers "
                                                                         "with all their utterances (this reads speaker labels)")


class DataConfig(Config):
    """The training set as the loader sees it.

    short: what becomes of an utterance shorter than the longest crop.
        repeat  it is played again from its start until the crop is full (default: nothing is lost)
        drop    it is left out of the training set (counted in the log)
        whole   it is taken whole: that batch's crops of this kind are as long as its shortest utterance. A large batch of any lengths has
                a very short one; data.batches: length keeps the others from being cut to it
    """

    input: Literal["wave", "feats"] = "wave"
    short: Literal["repeat", "drop", "whole"] = "repeat"
    min_seconds: float = Field(0.0, ge=0, description="utterances shorter than this are left out")
    batch_size: Size = Field(128, description="utterances per optimizer step, over all ranks")
    draws_per_epoch: Size = Field(1, description="how often each utterance is drawn in an epoch")
    reduce_overlap_prob: float = Field(0.0, ge=0, le=1, description="chance that the first crops are placed far apart; layout "
                                       "independent only")
    labels: str = Field("utt2spk", pattern=r"^utt2\w+$", description="table of the data directory with the classes")
    balance: Literal["none", "class"] = Field("none", description="class: every class is drawn equally often, whatever its size")
    batches: Literal["mixed", "speaker", "length"] = Field("mixed", description="speaker: all utterances of a batch are of one speaker, "
                                                                                "some more than once if there are too few (reads speaker "
                                                                                "labels); length: all are about equally long (with short: "
                                                                                "whole)")
    same: str | None = Field(None, pattern=r"^utt2\w+$", description="a table such as utt2lang: views that should agree come from several "
                                                                     "utterances with the same entry (reads these labels); null: all from "
                                                                     "one utterance")
    frame_labels: str | None = Field(None, description="folder of frame labels (steps/make_frame_labels.sh), for methods that read them")
    grow: GrowConfig | None = Field(None, description="a curriculum: the training set grows; null: all utterances from the start")
    archives_at_once: Few | None = Field(None, description="for data larger than the memory: so many archives (or tar shards) are read and "
                                         "mixed at a time, in a random order each epoch; null: all utterances are mixed")
    workers: int | None = Field(None, ge=0, le=1000, description="loader processes per rank; 0 reads in the training process; null: by the "
                                "cores of the job, 8 at most")

    @model_validator(mode="before")
    @classmethod
    def _former_name(cls, tree):
        """Models of before 0.2 call `input` road."""
        if isinstance(tree, dict) and "road" in tree and "input" not in tree:
            tree = {("input" if key == "road" else key): value for key, value in tree.items()}
        return tree

    @model_validator(mode="after")
    def _mixes(self):
        if self.archives_at_once and (self.balance != "none" or self.batches != "mixed" or self.same is not None):
            raise ValueError("archives_at_once is for batches: mixed without balance and same, which draw from all archives; leave it out")
        return self

    @property
    def reads_speakers(self) -> bool:
        """Whether drawing the data needs speaker labels, so that no result of it is label-free."""
        return self.batches == "speaker" or (self.grow is not None and self.grow.by == "speaker")

    @property
    def drawn_by(self) -> str:
        """Which labels drawing the data reads, as every result will say: none, speaker (curriculum), speaker (batches), lang (views)."""
        if self.same is not None:
            return f"{'speaker' if self.same == 'utt2spk' else self.same.removeprefix('utt2')} (views)"
        if self.batches == "speaker":
            return "speaker (batches)"
        return "speaker (curriculum)" if self.reads_speakers else "none"
