"""Training batches. Random numbers depend only on (seed, step, position), not on the number of workers or ranks, nor on resuming.

A batch is a dictionary:
    crops   one dictionary per Crop of the method, each array starting (V, B, ...):
            wave input: wave int16 (V,B,S), and with augmentation the fields of noise.Draw; feats input: feats float32 (V,B,T,F)
            degrade float32 (V,B,n) with augment.degrade, masks int32 (V,B,n,3) when SpecAugment is on; a clean crop has the wave or
            the features alone. rooms, equalised int64 (n,): the rows of (V B) that features.augment filters
    label   (B,) int64, -1 without labels      unit (B,) int64: position of the recording in the index
    failed  list of "utterance: reason" for utterances that could not be read and were replaced
    frame_labels (B,T) int64 of the first crop's frames, with data.frame_labels
"""
import numpy as np
import torch

from sslspk.data import curriculum, speed, too_short
from sslspk.data.archives import Archives
from sslspk.data.config import Crop, DataConfig
from sslspk.data.index import UtteranceIndex
from sslspk.data.views import IDLE, Unreadable, disjoint, note, read, stack, untouched
from sslspk.errors import InputError, counted, named

JITTER = 0.02  # with batches of equal length: recordings are shuffled among those whose lengths differ by up to this share
DRAWS = 8  # how many recordings are tried for one place in the batch before giving up


class BatchDataset(torch.utils.data.Dataset):
    """`dataset[step]` is this rank's whole batch of that micro-step; the epoch's order is a permutation keyed by the epoch."""

    def __init__(self, index: UtteranceIndex, config: DataConfig, crops: tuple[Crop, ...], *, seed: int, rate: float,
                 accumulate: int = 1, rank: int = 0, world: int = 1, augment=None, spec_augment=None, speeds: tuple[float, ...] = (),
                 degrade=None, frame_labels=None):
        """rate: samples (wave) or frames (feats) per second. augment: NoiseBank or None. spec_augment: callable
        (rng, crop size) -> int32 (n, 3) or None. speeds: factors of speed perturbation, one drawn for all views of a recording.
        degrade: callable rng (or None: nothing) -> float32 (n,), or None. frame_labels: CropLabels or None."""
        self.index, self.config, self.crops, self.seed = index, config, crops, seed
        self.accumulate, self.rank, self.world, self.rate = accumulate, rank, world, rate
        self.augment, self.spec_augment, self.speeds, self.degrade, self.frame_labels = augment, spec_augment, speeds, degrade, frame_labels
        self.sizes = [round(crop.seconds * rate) for crop in crops]
        self.units = too_short.usable(index, config, self.sizes, rate)
        self.dropped = index.num_units - len(self.units)
        self._pieces = self._first_ones()
        self.steps_per_epoch = self._steps_per_epoch()
        self._growth, self._mates = self._make_growth(), self._make_mates()
        self._archives = Archives(index, self.units, config) if config.archives_at_once else None
        self._epoch, self._order, self._turns = -1, None, None

    def _first_ones(self) -> np.ndarray | None:
        """With a crop of layout first and several draws: the examples (N, 2) of an epoch, recording and which of its crops, 0, 1, ...; of a
        recording as many as fit one after the other, one at least."""
        times, first = self.config.draws_per_epoch, [i for i, crop in enumerate(self.crops) if crop.layout == "first"]
        if times == 1 or not first or self.config.grow or self.config.balance != "none":
            return None
        size = self.crops[first[0]].count * self.sizes[first[0]]
        fits = np.clip(self.index.unit_length()[self.units] // size, 1, times)
        return np.stack([np.repeat(self.units, fits), np.arange(fits.sum()) - np.repeat(np.cumsum(fits) - fits, fits)], 1)

    def _steps_per_epoch(self) -> int:
        batch, share = self.config.batch_size, self.accumulate * self.world
        if batch % share:
            raise InputError(f"data.batch_size {batch} cannot be divided by ranks ({self.world}) x "
                             f"train.accumulate ({self.accumulate}); use a multiple of {share}.")
        if len(self.units) < batch:
            raise InputError(self._too_few())
        return (len(self.units) * self.config.draws_per_epoch if self._pieces is None else len(self._pieces)) // batch

    def _too_few(self) -> str:
        """The message for a training set without a single batch: what is missing, why, and the option that helps."""
        name, batch = named(self.index.data.name, 40), self.config.batch_size
        if not self.dropped:
            return (f"{name} has {counted(len(self.units), 'utterance')} and data.batch_size is {batch}; lower it with --set "
                    "data.batch_size=N, or add data.")
        least, remedy = too_short.least(self.config, self.sizes, self.rate)
        return (f"{name}: {len(self.units)} of {self.index.num_units} utterances last {least:g} s, data.batch_size is {batch}; {remedy}, "
                "or lower data.batch_size.")

    @property
    def left_out(self) -> str:
        """What a user should know of the recordings that are left out; or nothing."""
        return too_short.note(self.index, self.config, self.sizes, self.rate)

    def _make_growth(self) -> curriculum.Growth | None:
        grow, batch = self.config.grow, self.config.batch_size
        if grow is None:
            return None
        speakers = self.index.of_units(self.index.label)[self.units]
        growth = curriculum.Growth(self.units, speakers, grow, self.seed)
        first = len(growth.units(0))
        if first < batch:
            raise InputError(f"data.grow.start_share {grow.start_share:g} opens {first} of {len(self.units)} utterances and "
                             f"data.batch_size is {batch}; raise the share or lower the batch size.")
        return growth

    def _make_mates(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """With data.same: the usable recordings, entry by entry; where each entry's begin; the entry of every recording."""
        if self.index.same is None:
            return None
        entry = self.index.of_units(self.index.same)
        mine = entry[self.units]
        return self.units[np.argsort(mine, kind="stable")], np.append(0, np.cumsum(np.bincount(mine))), entry

    def pool(self, epoch: int) -> np.ndarray:
        """The recordings that may be drawn in an epoch: all that are usable, or with data.grow its share of them."""
        if self._growth is None or curriculum.share(self.config.grow, epoch) == 1:
            return self.units
        return self._growth.units(epoch)

    def order(self, epoch: int) -> np.ndarray:
        """The recordings of an epoch in the order in which they are drawn."""
        if epoch != self._epoch:
            rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, epoch, 1]))
            if self._pieces is not None and self.config.batches == "mixed":
                self._order, self._turns = self._mixed(rng, self._pieces).T
            else:
                self._order = self._drawn(rng, epoch)
            self._epoch = epoch
        return self._order

    def _drawn(self, rng: np.random.Generator, epoch: int) -> np.ndarray:
        """`order`, for examples that are whole recordings.

        A pool that has not yet grown whole is drawn again and again in new orders, each cut to whole batches, so that no
        batch holds a recording twice.
        """
        batch = self.config.batch_size
        if self.config.balance == "class":
            return self._balanced(rng, self.steps_per_epoch * batch)
        if self.config.batches != "mixed":
            return self._by_speaker(rng) if self.config.batches == "speaker" else self._by_length(rng)
        pool = self.pool(epoch)
        size, times = len(pool), self.config.draws_per_epoch
        if size < len(self.units):
            size -= size % batch
            times = -(-self.steps_per_epoch * batch // size)
        return np.concatenate([self._mixed(rng, pool)[:size] for _ in range(times)])

    def _mixed(self, rng: np.random.Generator, rows: np.ndarray) -> np.ndarray:
        """Recordings (N,), or examples (N, 2), in random order; with data.archives_at_once a few archives after others."""
        return rng.permutation(rows) if self._archives is None else rows[self._archives.order(rng, rows.reshape(len(rows), -1)[:, 0])]

    def _by_speaker(self, rng: np.random.Generator) -> np.ndarray:
        """Whole batches of one speaker each: of every speaker as many, to within one, as its share of the recordings is worth."""
        label = self.index.of_units(self.index.label)[self.units]
        speakers, counts = np.unique(label, return_counts=True)
        mixed = rng.permutation(len(speakers))
        marks = (rng.random() + np.arange(self.steps_per_epoch)) * len(self.units) / self.steps_per_epoch
        turns = rng.permutation(speakers[mixed][np.searchsorted(np.cumsum(counts[mixed]), marks, side="right")])
        size = self.config.batch_size
        order = np.empty((len(turns), size), np.int64)
        for one in np.unique(turns):
            mine, units = turns == one, self.units[label == one]
            whole, times = max(len(units) // size, 1), -(-size // len(units))   # batches of one order; orders that make a batch
            drawn = [np.concatenate([rng.permutation(units) for _ in range(times)])[:whole * size]
                     for _ in range(-(-int(mine.sum()) // whole))]
            order[mine] = np.concatenate(drawn).reshape(-1, size)[:mine.sum()]
        return order.reshape(-1)

    def _by_length(self, rng: np.random.Generator) -> np.ndarray:
        """Whole batches of about one length, in random order; recordings as long as the crops, or longer, are of one length."""
        drawn = rng.permutation(self.units)[:self.steps_per_epoch * self.config.batch_size]
        length = np.minimum(self.index.unit_length()[drawn], max(self.sizes)) * rng.uniform(1 - JITTER, 1 + JITTER, len(drawn))
        return rng.permutation(drawn[np.argsort(length)].reshape(-1, self.config.batch_size)).reshape(-1)

    def _balanced(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """`count` recordings, the classes in turn in random order; those of a class again and again in new orders."""
        label = self.index.of_units(self.index.label)[self.units]
        classes = np.unique(label)
        turns = np.concatenate([rng.permutation(classes) for _ in range(-(-count // len(classes)))])[:count]
        order = np.empty(count, np.int64)
        for one in classes:
            places, units = np.flatnonzero(turns == one), self.units[label == one]
            order[places] = np.concatenate([rng.permutation(units) for _ in range(-(-len(places) // len(units)))])[:len(places)]
        return order

    def units_of(self, micro_step: int) -> tuple[np.ndarray, np.ndarray, int]:
        """(recordings of all ranks in this micro-step, which of their first crops to take, place of the first one in the batch)."""
        step, part = divmod(micro_step, self.accumulate)
        epoch, within = divmod(step, self.steps_per_epoch)
        size = self.config.batch_size // self.accumulate
        start = within * self.config.batch_size + part * size
        units = self.order(epoch)[start:start + size]
        if self._archives is not None:
            self._archives.read_ahead(self._order, start)
        turns = np.zeros_like(units) if self._turns is None else self._turns[start:start + size]
        return units, turns, part * size

    def __getitem__(self, micro_step: int) -> dict:
        """This rank's batch, or {"error": sentence}: an exception would come out of a worker process as a traceback."""
        try:
            return self.batch(micro_step)
        except InputError as err:
            return {"error": str(err)}
        finally:
            note(self, IDLE)

    def batch(self, micro_step: int) -> dict:
        units, turns, position = self.units_of(micro_step)
        mine = len(units) // self.world
        sizes, step = self._crop_sizes(units), micro_step // self.accumulate
        failed: list[str] = []
        items = [self._item(int(units[i]), int(turns[i]), step, position + i, sizes, failed)
                 for i in range(self.rank * mine, (self.rank + 1) * mine)]
        chosen, labels, factors, views = zip(*items, strict=True)
        crops = [stack([one[c] for one in views]) for c in range(len(self.crops))]
        told = crops[0].pop("frame_labels", None)
        return {"crops": crops, "label": torch.tensor(labels), "unit": torch.tensor(chosen), "failed": failed,
                **({"speed": torch.tensor([round(100 * factor) for factor in factors])} if self.speeds else {}),
                **({} if told is None else {"frame_labels": told[0]})}

    def _crop_sizes(self, units: np.ndarray) -> list[int]:
        """Crop lengths of this batch; with short: whole they depend on the whole batch, so every rank agrees."""
        if self.config.short != "whole":
            return self.sizes
        shortest = int(min(self.index.length[self.index.unit(u)].min() for u in units))
        return [min(size, shortest) for size in self.sizes]

    def _item(self, unit: int, turn: int, step: int, position: int, sizes: list[int], failed: list[str]) -> tuple:
        rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, position, step, 0]))
        grow = self.augment.config.grow if self.augment else None
        augmented = grow is None or rng.random() < curriculum.share(grow, step / self.steps_per_epoch)
        for _ in range(DRAWS):
            reading = [unit]
            try:
                factor = speed.draw(rng, self.speeds)
                views, utt = self._views(unit, turn, sizes, factor, rng, augmented, reading)
                return unit, int(self.index.label[utt]), factor, views
            except Unreadable as err:
                failed.append(f"{self.index.keys[int(self.index.unit(reading[-1])[0])]}: {err}")
                unit, turn = int(rng.choice(self.pool(step // self.steps_per_epoch))), 0
        raise InputError(f"{DRAWS} utterances in a row could not be read; the last one: {failed[-1]}")

    def _views(self, unit: int, turn: int, sizes: list[int], drawn: float, rng: np.random.Generator, augmented: bool,
               reading: list[int]) -> tuple[list, int]:
        """The views of a recording at the speed `drawn`, and its first utterance. reading: gets the recordings, as their turn comes."""
        out = []
        for c, (crop, size) in enumerate(zip(self.crops, sizes, strict=True)):
            factor = 1.0 if crop.own_speed else drawn
            needed = speed.source_length(size, factor)
            units, utts, starts = self._places(crop, unit, needed, turn, rng, spread=c == 0)
            views, effects, last = [], {}, None
            for owner, *place in zip(units, utts, starts, strict=True):
                if place != last:
                    reading.append(int(owner))
                    note(self, reading[-1])
                    x = read(self.index, self.config.input, int(place[0]), int(place[1]), needed)
                    x, last = speed.change(x, factor)[:size], place
                if crop.layout == "twin" and views:
                    effects = untouched(effects, size, self.augment, self.degrade)
                elif crop.layout != "triplet" or len(views) != 1:  # the second of a triplet shares the first one's
                    effects = {} if crop.clean else self._effects(size, rng, augmented)
                views.append({self.config.input: x, **effects})
                if c == 0 and self.frame_labels is not None:
                    utt = int(place[0])
                    views[-1]["frame_labels"] = self.frame_labels.at(self.index.keys[utt], int(self.index.length[utt]), int(place[1]), size)
            out.append(views)
        return out, int(self.index.unit(unit)[0])

    def _places(self, crop: Crop, unit: int, size: int, turn: int, rng: np.random.Generator, spread: bool) -> tuple:
        """(recordings, utterances, starts) of the views (V,) of one crop. turn: of layout first. spread: it is the first crop, to which
        reduce_overlap_prob applies."""
        members = self.index.unit(unit)
        if crop.layout == "independent":
            units = [unit] * crop.count if self._mates is None else self._mates_of(unit, crop.count, rng, spread)
            utts = rng.choice(members, crop.count) if self._mates is None else \
                np.array([rng.choice(self.index.unit(one)) for one in units])
            return units, utts, self._starts(self.index.length[utts], size, rng, spread)
        utt = int(rng.choice(members))
        count = {"triplet": 2, "twin": 1}.get(crop.layout, crop.count)
        if crop.layout == "first":
            starts = np.minimum((turn * count + np.arange(count)) * size, max(int(self.index.length[utt]) - size, 0))
        else:
            starts = disjoint(int(self.index.length[utt]), size, count, rng)
        starts = starts[{"triplet": [0, 1, 1], "twin": [0, 0]}.get(crop.layout, slice(None))]
        return [unit] * crop.count, [utt] * crop.count, starts

    def _mates_of(self, unit: int, count: int, rng: np.random.Generator, first: bool) -> list[int]:
        """`count` recordings of the same entry as `unit`, each drawn from all of them; first: the first one is `unit` itself."""
        order, ends, entry = self._mates
        mates = order[ends[entry[unit]]:ends[entry[unit] + 1]]
        drawn = mates[rng.integers(len(mates), size=count)].tolist()
        return [unit, *drawn[1:]] if first else drawn

    def _starts(self, lengths: np.ndarray, size: int, rng: np.random.Generator, spread: bool) -> np.ndarray:
        """Where the crops begin: uniform, or (reduce_overlap_prob) the two extremes of five draws for a pair of long crops."""
        free = np.maximum(lengths - size, 0)
        starts = rng.integers(0, free + 1)
        if spread and len(starts) == 2 and rng.random() < self.config.reduce_overlap_prob:
            five = rng.integers(0, free.min() + 1, 5)
            starts = rng.permutation([five.min(), five.max()])
        return starts

    def _effects(self, size: int, rng: np.random.Generator, augmented: bool) -> dict:
        """What is drawn for one view beside its samples: the fields of noise.Draw, degradation, and SpecAugment's masks."""
        out = {}
        if self.config.input == "wave" and self.augment is not None:
            out.update((self.augment.pick(rng, size) if augmented else self.augment.nothing(size))._asdict())
        if self.degrade is not None:
            out["degrade"] = self.degrade(rng if augmented else None)
        if self.spec_augment is not None:
            out["masks"] = self.spec_augment(rng, size)
        return out
