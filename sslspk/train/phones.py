"""A small CTC recogniser of phones, trained on transcripts, and the alignment of transcripts by it (steps/align_phones.sh).

    OUT/state.pt        after each epoch: what a resume needs, which is exact
    OUT/recogniser.pt   at the end: weights, phones, their frequencies, the frames' timing
"""
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sslspk.config import check, digest
from sslspk.errors import InputError, named
from sslspk.io import ark, files, table, timing
from sslspk.io.alignments import digest_of
from sslspk.losses import ctc
from sslspk.nn.labellers import normalised
from sslspk.nn.recogniser import Recogniser
from sslspk.train import checkpoint
from sslspk.train.config_phones import PhoneConfig

FINAL, STATE = "recogniser.pt", "state.pt"
SILENCE = "sil"
POOL = 32         # batches whose utterances are sorted by length before they are cut into batches
CLIP = 5.0        # norm of gradients
LEAST = 1e-6      # of a prior


class Corpus(NamedTuple):
    """utterance -> its entry of feats.scp, and what it says, phone by phone."""

    specs: Mapping[str, str]
    said: Mapping[str, list[str]]
    when: timing.Timing


def read(folder: str, phones: str | None = None, lexicon: str | None = None) -> Corpus:
    """DATA/feats.scp and DATA/phones (or the file `phones`), which names at least the utterances of feats.scp.

    lexicon: a file of pronunciations, by which the words of DATA/text (or of `phones`) become phones.
    Raises InputError naming an utterance that has no transcript, or a word without pronunciation.
    """
    specs, path = ark.read_scp(Path(folder) / "feats.scp"), phones or f"{folder}/{'text' if lexicon else 'phones'}"
    said = {utt: table.words(text) for utt, text in table.read(path, empty=True).items()}
    if lexicon:
        said = pronounced(said, lexicon, path)
    missing = sorted(specs.keys() - said.keys())
    if missing:
        raise InputError(f"{named(path)} does not say the phones of {table.named(missing[0])} ({len(missing)} of {len(specs)}); complete "
                         "it, or leave such utterances out.")
    return Corpus(specs, {utt: said[utt] for utt in specs}, timing.of(folder))


def pronounced(said: Mapping[str, list[str]], lexicon: str, path: str) -> dict[str, list[str]]:
    """Words as phones, by the first pronunciation that each has in the lexicon ("WORD phone phone ..."); path: for the message."""
    known: dict[str, list[str]] = {}
    for line in table.read_lines(lexicon):
        word, *phones = table.words(line) or [""]
        if phones:
            known.setdefault(word, phones)
    unknown = sorted({word for words in said.values() for word in words} - known.keys())
    if unknown:
        raise InputError(f"{named(lexicon)} has no pronunciation of {named(unknown[0], 60)}, a word of {named(path)} ({len(unknown)} "
                         "such); complete it.")
    return {utt: [phone for word in words for phone in known[word]] for utt, words in said.items()}


class Aligner(nn.Module):
    """A recogniser with its phones; label 0 is silence. prior (K,): how often it gave each label in the last epoch."""

    def __init__(self, config: PhoneConfig, features: int, phones: Sequence[str]):
        super().__init__()
        self.config, self.features, self.names = config, features, (SILENCE, *phones)
        self._number = {name: i for i, name in enumerate(self.names)}
        self.recogniser = Recogniser(features, len(self.names), config.channels, config.depth, config.hidden, config.dropout)
        self.register_buffer("prior", torch.full((len(self.names),), 1 / len(self.names)))

    def labels(self, utt: str, said: Sequence[str]) -> np.ndarray:
        """Label numbers (S,) of phones. Raises InputError naming one that is unknown."""
        odd = next((phone for phone in said if phone not in self._number or phone == SILENCE), None)
        if odd is not None:
            raise InputError(f"{table.named(utt)} says {table.named(odd)}, which is none of the recogniser's phones; correct it.")
        return np.array([self._number[phone] for phone in said], np.int64)

    def frames(self, utt: str, spec: str) -> Tensor:
        """(T, F) less their mean. Raises InputError for features that the recogniser was not trained on."""
        x = ark.load(spec)
        if x.ndim != 2 or x.shape[1] != self.features or not len(x):
            raise InputError(f"{table.named(utt)} has frames of shape {x.shape}, not {self.features} features; make them as in training.")
        return normalised(torch.from_numpy(x), "mean")

    def weights(self) -> Tensor:
        """Log weights (K,) of the labels: of a phone the frequency, relative to the mean one, that is divided out; of silence none."""
        found = -self.config.prior_scale * (self.prior / self.prior[1:].mean()).log()
        found[ctc.BLANK] = 0
        return found

    @torch.no_grad()
    def log_probs(self, frames: Tensor) -> np.ndarray:
        """(T, F) -> (T, K)."""
        return self.recogniser(frames[None], torch.tensor([len(frames)]))[0].numpy()

    def align(self, frames: Tensor, labels: np.ndarray) -> np.ndarray | None:
        """Labels (T,) of frames (T, F) that say `labels` (S,); None where there are too few frames."""
        if needed(labels) > len(frames):
            return None
        weights = self.weights().numpy()
        weights[ctc.BLANK] -= self.config.silence_cost
        return closed(ctc.viterbi(self.log_probs(frames) + weights, labels), self.config.gap)


def needed(said: Sequence) -> int:
    """Frames that a transcript takes at least: one for each phone, and one of silence between two equal ones."""
    return len(said) + sum(one == next_ for one, next_ in itertools.pairwise(said))


def long_enough(corpus: Corpus) -> tuple[list[str], list[str]]:
    """(utterances with as many frames as their transcript needs, in byte order; a warning for each of the others)."""
    kept, told = [], []
    for utt in sorted(corpus.specs):
        frames, least = ark.shape(corpus.specs[utt])[0], needed(corpus.said[utt])
        if frames and least <= frames:
            kept.append(utt)
        else:
            told.append(f"warning: {utt} has {frames} frames, its transcript needs {least}; it is left out of the training")
    return kept, told


def closed(path: np.ndarray, gap: int) -> np.ndarray:
    """A path without silences of at most `gap` frames between two phones: the first half goes to the phone before, the rest to the next."""
    path, bounds = path.copy(), np.flatnonzero(np.diff(path)) + 1
    for begin, end in itertools.pairwise(bounds):
        if path[begin] == ctc.BLANK and end - begin <= gap:
            middle = (begin + end + 1) // 2
            path[begin:middle], path[middle:end] = path[begin - 1], path[end]
    return path


def loud(levels: Tensor, sizes: Tensor) -> Tensor:
    """bool (B, T): frames whose level (B, T) lies above the middle of the quietest and the loudest tenth of their utterance."""
    found = torch.zeros(levels.shape, dtype=torch.bool)
    for row, size in enumerate(sizes.tolist()):
        quiet, high = levels[row, :size].quantile(torch.tensor([0.1, 0.9]))
        found[row, :size] = levels[row, :size] > (quiet + high) / 2
    return found


def batches(specs: Sequence[str], lengths: np.ndarray, size: int, seed: int) -> Iterator[np.ndarray]:
    """Rows of each batch of an epoch, of similar length, in random order."""
    rng = np.random.default_rng(seed)
    order, found = rng.permutation(len(specs)), []
    for pool in np.split(order, range(size * POOL, len(order), size * POOL)):
        ranked = pool[np.argsort(lengths[pool], kind="stable")]
        found += np.split(ranked, range(size, len(ranked), size))
    return (found[i] for i in rng.permutation(len(found)))


def train(out: Path, corpus: Corpus, config: PhoneConfig) -> Iterator[str]:
    """Train the recogniser of OUT, from its last whole epoch on; yields a line for each epoch, and writes OUT/recogniser.pt.

    Before them there is a warning for each utterance that is too short for its transcript, which is left out.
    """
    utts, told = long_enough(corpus)
    yield from told
    if not utts:
        raise InputError("all utterances have fewer frames than phones; give transcripts of what is said, and features of all of it.")
    phones = sorted({phone for utt in utts for phone in corpus.said[utt]} - {SILENCE})
    if not phones:
        raise InputError("no utterance says any phone; give transcripts of what is said.")
    features = ark.shape(corpus.specs[utts[0]])[-1]
    torch.manual_seed(config.seed)
    aligner = Aligner(config, features, phones)
    optimizer = torch.optim.Adam(aligner.parameters(), config.learning_rate)
    key, first = digest_of(digest(config), *(f"{utt} {corpus.specs[utt]} {corpus.said[utt]}" for utt in utts)), 0
    if (out / STATE).exists() and (content := checkpoint.load(out / STATE)).get("key") == key:
        aligner.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
        first = content["epoch"]
    for epoch in range(first, config.epochs):
        torch.manual_seed(config.seed + 1000003 * (epoch + 1))
        yield f"epoch {epoch + 1} of {config.epochs}: " + _epoch(aligner, optimizer, corpus, utts, epoch)
        checkpoint.save(out / STATE, {"key": key, "epoch": epoch + 1, "model": aligner.state_dict(), "optimizer": optimizer.state_dict()})
    checkpoint.save(out / FINAL, {"model": aligner.state_dict(), "config": config.model_dump(mode="json"), "phones": phones,
                                  "features": features, "timing": list(corpus.when)})
    (out / STATE).unlink(missing_ok=True)


def _epoch(aligner: Aligner, optimizer: torch.optim.Optimizer, corpus: Corpus, utts: list[str], epoch: int) -> str:
    """One pass over the training set. Returns figures."""
    config, lengths = aligner.config, np.array([ark.shape(corpus.specs[utt])[0] for utt in utts])
    plan = list(batches(utts, lengths, config.batch_size, config.seed + epoch))
    nll, count, given = 0.0, 0, torch.zeros(len(aligner.names), dtype=torch.float64)
    aligner.train()
    for step, rows in enumerate(plan):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _rate(epoch + step / len(plan), config.epochs)
        said = [torch.from_numpy(aligner.labels(utts[i], corpus.said[utts[i]])) for i in rows]
        frames = [aligner.frames(utts[i], corpus.specs[utts[i]]) for i in rows]
        sizes, targets = torch.tensor([len(x) for x in frames]), torch.tensor([len(x) for x in said])
        padded = nn.utils.rnn.pad_sequence(said, batch_first=True)
        there = torch.arange(int(sizes.max())) < sizes[:, None]
        log_probs = aligner.recogniser(nn.utils.rnn.pad_sequence(frames, batch_first=True), sizes)
        speech = loud(nn.utils.rnn.pad_sequence([x.mean(1) for x in frames], batch_first=True), sizes)
        place = ctc.evenly(speech, targets)
        if epoch < config.flat:
            labels = padded.gather(1, place).masked_fill(~speech, ctc.BLANK)
            loss = -(log_probs.gather(2, labels[..., None])[..., 0] * there).sum(1)
        else:
            reach = (config.band * targets).ceil().long() + 1
            odd = ~ctc.expected(place, padded, targets, reach, len(aligner.names))
            odd[..., ctc.BLANK] = speech
            power = config.first_power ** max(0.0, 1 - (epoch - config.flat) / max(1, 0.6 * (config.epochs - config.flat)))
            loss, _ = ctc.weighted(log_probs, power * aligner.weights() - config.penalty * odd, sizes, padded, targets, power)
        optimizer.zero_grad()
        (loss.sum() / sizes.sum()).backward()
        nn.utils.clip_grad_norm_(aligner.parameters(), CLIP)
        optimizer.step()
        given += log_probs.detach()[there].exp().sum(0, dtype=torch.float64)
        plain = nn.functional.ctc_loss(log_probs.detach().transpose(0, 1), padded, sizes, targets, ctc.BLANK, "none")
        nll, count = nll + float(plain.sum()), count + int(targets.sum())
    aligner.prior.copy_((given / given.sum()).clamp(min=LEAST))
    return f"CTC loss {nll / max(count, 1):.4f} nats a phone, silence {float(aligner.prior[0]):.3f} of the frames"


def _rate(epochs: float, total: int) -> float:
    """The share of the highest learning rate: linear over the first epoch, then a cosine to 0."""
    return min(1.0, epochs + 0.02) * 0.5 * (1 + math.cos(math.pi * min(epochs / total, 1)))


def load(folder: str | Path) -> tuple[Aligner, timing.Timing, str]:
    """The recogniser of a folder in eval mode, the timing of its frames, and a digest of it. Raises InputError where it is none."""
    path = Path(folder) / FINAL
    content = checkpoint.load(path)
    try:
        config = check(PhoneConfig, content["config"], str(path))
        aligner = Aligner(config, content["features"], content["phones"])
        aligner.load_state_dict(content["model"])
        when = timing.Timing(*content["timing"])
    except (KeyError, TypeError, RuntimeError) as err:
        raise InputError(f"{named(path)} is no phone recogniser ({str(err)[:60]}); give a folder of steps/align_phones.sh.") from None
    return aligner.eval(), when, files.md5(path)[:12]


def error_rate(aligner: Aligner, corpus: Corpus) -> tuple[int, int, float]:
    """(errors of the likeliest path, phones, nats of CTC loss) on transcripts: substitutions, deletions and insertions."""
    wrong, count, nll = 0, 0, 0.0
    for utt, spec in corpus.specs.items():
        truth, scores = aligner.labels(utt, corpus.said[utt]), aligner.log_probs(aligner.frames(utt, spec))
        wrong, count = wrong + ctc.errors(ctc.greedy(scores), truth), count + len(truth)
        loss = nn.functional.ctc_loss(torch.from_numpy(scores), torch.from_numpy(truth), [len(scores)], [len(truth)], ctc.BLANK, "none")
        nll += float(loss) if math.isfinite(float(loss)) else 0.0
    return wrong, count, nll
