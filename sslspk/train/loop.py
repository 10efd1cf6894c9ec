"""The training loop, the only one: every method runs through it, top to bottom."""
import contextlib
import dataclasses
import functools
import math
import signal
import time
from collections.abc import Iterator

import torch

from sslspk.data.loader import make_loader, processes
from sslspk.data.plain import PlainCrops
from sslspk.errors import InputError, counted
from sslspk.losses.precision import wide
from sslspk.methods.base import Batch, Plain, Progress
from sslspk.nn import comm
from sslspk.train import checkpoint, evaluation, finite, garbage
from sslspk.train.failures import REQUEUE, STOPPED
from sslspk.train.finish import finish
from sslspk.train.job import Job
from sslspk.train.log import TrainLog
from sslspk.train.optim import clip_gradients, learning_rate, warmup_steps
from sslspk.train.speed import Meter
from sslspk.train.watch import Watch

MAX_BAD = 0.01  # share of the utterances that may be unreadable
NO_END = 2 ** 40   # steps, where CPU time ends the training
ASK = 10        # ranks on GPUs check for a stop request every ASK steps


def train(job: Job) -> int:
    """Run to the end, or until SIGTERM / SIGUSR1; returns the exit status (0, or REQUEUE when stopped early)."""
    cfg, per_epoch = job.config.train, job.dataset.steps_per_epoch
    prototypes = getattr(job.config.method, "prototypes", None)
    stop = _stop_flag()   # before there is a log, by which others see that training has begun
    meter = Meter(job.device, cfg.precision, cfg.compile)
    log = TrainLog(job.exp, comm.rank(), job.step, job.total, prototypes, job.figures, meter)
    if log.board:
        log.board.describe(job.config, bool(prototypes))
    watch = Watch(prototypes, job.step / per_epoch, job.method.code_groups)
    planned = f"{cfg.cpu_minutes:g} CPU minutes" if job.budget else counted(job.total, "step")
    log.say(f"{planned} of {job.config.data.batch_size} utterances a step, {per_epoch} steps an epoch, from step {job.step}, "
            f"{counted(comm.world_size(), 'rank')} on {job.device.type}")
    with garbage.by_hand():   # before the loader's processes start, which then share what is frozen
        batches = make_loader(job.dataset, job.step * cfg.accumulate, (NO_END if job.budget else job.total) * cfg.accumulate,
                              processes(job.config.data.workers, job.device), job.device.type == "cuda", cfg.timeout_seconds)
        if job.budget:
            job.budget.begin(job.step)
        with batches.explained():
            return _until_the_end(job, batches, log, watch, stop)


def _until_the_end(job: Job, batches: Iterator[dict], log: TrainLog, watch: Watch, stop: dict) -> int:
    """Every step that is left, saved as it is due, and final.pt; returns the exit status."""
    cfg, per_epoch = job.config.train, job.dataset.steps_per_epoch
    save_every = cfg.save_every or per_epoch
    job.model.train()
    while job.step < job.total and not _patience_is_out(job):
        progress = Progress(job.step, job.total, per_epoch, log=(job.step + 1) % cfg.log_every == 0 or job.step + 1 == job.total,
                            seed=job.config.seed)
        if job.step % per_epoch == 0:
            finite.check(job)
            log.note(job.method.before_epoch(functools.partial(embed_all, job, progress), progress))
        with log.meter.counting(progress.log):
            lr, figures, waited = optimizer_step(job, batches, progress)
        if job.budget and progress.log:
            job.total = job.budget.steps(job.step)
        last = job.step == job.total
        log.add(figures, job.config.data.batch_size, waited)
        garbage.collect(job.step)
        stopping = _agreed(stop, progress, job)
        if progress.log:
            finite.check(job)
            _watch(job, log, watch, log.line(job.step, job.step / per_epoch, lr, job.total))
        _judge_and_save(job, log, save_every, last or stopping)
        if stopping and not last:
            comm.barrier()   # wait for rank 0 to save: when a rank exits, the agent ends the others
            log.say(f"asked to stop: saved step {job.step}; the same command resumes there")
            if comm.rank() == 0:
                (job.exp / STOPPED).touch()
            comm.barrier()
            log.close()
            return REQUEUE
    if log.board and job.evaluation:
        log.board.embeddings(*job.evaluation.shown(), job.step)
    log.close()
    finish(job, save_every)
    return 0


def _judge_and_save(job: Job, log: TrainLog, save_every: int, ends: bool) -> None:
    """What is due after a step: validation, evaluation, a checkpoint. ends: the training ends or stops with this step."""
    due = ends or job.step % save_every == 0
    validates = job.validation is not None and (job.step % job.dataset.steps_per_epoch == 0 or job.step == job.total)
    evaluates = evaluation.is_due(job)
    if due or validates or evaluates:
        finite.check(job)
    better = validates and _validate(job, log)
    if evaluates:
        better = evaluation.evaluate(job, log) or better
    if due or better:
        save(job, save_every, log)


def _validate(job: Job, log: TrainLog) -> bool:
    """Judge the weights on train.valid; whether they are the best so far."""
    found = job.validation.judge(job.method)
    log.say(f"step {job.step}: {found.text} on {job.config.train.valid}")
    log.note(found.figures)
    if not found.score > job.best["score"]:   # nor where it is NaN
        return False
    job.best = {"step": job.step, "score": found.score, "earlier": [*job.best["earlier"], job.best["step"]]}
    return True


def _patience_is_out(job: Job) -> bool:
    """Whether `patience` epochs brought no improvement. The warm-up does not count: at a rate near 0 no improvement is expected."""
    cfg, per_epoch = job.config.train, job.dataset.steps_per_epoch
    if cfg.patience is None:
        return False
    return job.step - max(job.best["step"], warmup_steps(cfg, job.total, per_epoch)) >= cfg.patience * per_epoch


def optimizer_step(job: Job, batches, progress: Progress) -> tuple[float, dict, float]:
    """One step, whole: learning rate, gradients, clipping, update, and what the method does after it. (rate, figures, seconds waited)"""
    lr = learning_rate(job.config, job.step, job.total, progress.per_epoch)
    for group in job.optimizer.param_groups:
        group["lr"] = lr * group.get("scale", 1.0)
    torch.manual_seed(hash((job.config.seed, job.step, comm.rank())) % 2 ** 63)  # dropout: a function of the step
    figures, waited = gradients(job, batches, progress)
    job.method.after_backward(progress)
    if job.config.train.clip_norm:
        figures["gradient_norm"] = clip_gradients(job.method, job.config.train)
    job.optimizer.step()
    job.optimizer.zero_grad(set_to_none=True)
    job.method.after_step(progress)
    job.step += 1
    return lr, figures, waited


def gradients(job: Job, batches, progress: Progress) -> tuple[dict, float]:
    """Forward and backward over the step's micro-batches; the figures are their means. Raises InputError where a loss is not finite."""
    parts, total, waited = job.config.train.accumulate, {}, 0.0
    for part in range(parts):
        begin = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - begin
        if "error" in batch:
            raise InputError(batch["error"])
        _count_bad(job, batch["failed"], progress)
        last = part + 1 == parts
        hold = contextlib.nullcontext() if last or job.model is job.method else job.model.no_sync()
        with hold:
            crops = [{k: v.to(job.device, non_blocking=True) for k, v in crop.items()} for crop in batch["crops"]]
            views = [job.front_end(crop) for crop in crops]
            with torch.autocast(job.device.type, torch.bfloat16, enabled=job.config.train.precision == "bf16"):
                told = [batch[key].to(job.device, non_blocking=True) if key in batch else None for key in ("frame_labels", "speed")]
                figures = job.model(Batch(views, *identities(job, batch), *told), dataclasses.replace(progress, part=part, parts=parts))
            finite.note(job, figures["loss"], batch["unit"])
            (figures["loss"] / parts).backward()
        finite.check(job)
        for key, value in figures.items():
            total[key] = total.get(key, 0) + value.detach() / parts
    return total, waited


def identities(job: Job, batch: dict) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """(labels to learn from, recordings, labels to watch) of a batch, on the device; what the method must not see is -1 or None."""
    units, labels = (batch[key].to(job.device, torch.int64, non_blocking=True) for key in ("unit", "label"))
    learns = job.method.labels != "none"
    return labels if learns else torch.full_like(labels, -1), units, labels if job.config.train.analyse else None


@torch.no_grad()
def embed_all(job: Job, progress: Progress, encoder: torch.nn.Module) -> Plain:
    """This rank's share of the training set through `encoder` in eval mode: the centre of each recording, nothing mixed in."""
    data = job.dataset
    plain = PlainCrops(data.index, data.units, data.sizes[0], job.config.data.input, max(1, job.config.data.batch_size // data.world),
                       data.rank, data.world)
    parts, units = [], []
    alone = dataclasses.replace(progress, log=False)  # ranks have different numbers of batches: no messages between them here
    batches = make_loader(plain, 0, len(plain), processes(job.config.data.workers, job.device), job.device.type == "cuda",
                          job.config.train.timeout_seconds)
    encoder.eval()
    with batches.explained():
        for batch in batches:
            if "error" in batch:
                raise InputError(batch["error"])
            _count_bad(job, batch["failed"], alone)
            crop = {k: v.to(job.device, non_blocking=True) for k, v in batch["crops"][0].items()}
            with torch.autocast(job.device.type, torch.bfloat16, enabled=job.config.train.precision == "bf16"):
                parts.append(wide(encoder(job.front_end(crop)[0])))
            units.append(batch["unit"].to(job.device))
    encoder.train()
    units = torch.cat(units)
    label = torch.from_numpy(data.index.of_units(data.index.label)).to(job.device, torch.int64)
    return Plain(torch.cat(parts), units, label[units] if job.config.train.analyse else None)


def _count_bad(job: Job, failed: list[str], progress: Progress) -> None:
    """Each rank warns about its unreadable utterances; on logged steps the sets are merged."""
    for text in failed:
        utt = text.partition(":")[0]
        if utt not in job.bad:
            job.bad.add(utt)
            print(f"warning: skipped an utterance that cannot be read: {text}", flush=True)
    if progress.log:
        job.bad = comm.union_over_ranks(job.bad)
    if len(job.bad) > MAX_BAD * job.dataset.index.num_units:
        raise InputError(f"{len(job.bad)} of {job.dataset.index.num_units} utterances cannot be read, more than 1 %; one of them: "
                         f"{failed[-1] if failed else min(job.bad)}; repair the data, then run the same command again.")


def _stop_flag() -> dict:
    """SIGTERM and SIGUSR1 ask for an orderly stop after the step at hand."""
    flag = {"stop": False}

    def ask(signum, frame):
        flag["stop"] = True

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, ask)
    return flag


def _agreed(stop: dict, progress: Progress, job: Job) -> bool:
    """Whether to stop now. Ranks on GPUs ask each other only now and then, since the host has to wait for the answer."""
    if comm.world_size() == 1:
        return stop["stop"]
    if not progress.log and job.step % ASK and job.device.type != "cpu":
        return False
    return bool(comm.max_over_ranks(torch.tensor(stop["stop"], device=job.device)))


def _watch(job: Job, log: TrainLog, watch: Watch, figures: dict) -> None:
    _require_finite_figures(job, figures)
    if not figures:
        return
    epochs = job.step / job.dataset.steps_per_epoch
    idle = watch.idle(figures, epochs)
    if idle:
        log.say(f"WARNING: {idle}")
    warning = watch.collapse(figures, epochs)
    if warning:
        log.say(f"WARNING: {warning}")
        if job.config.train.stop_on_collapse:
            raise InputError(f"{job.exp}: stopped at step {job.step}: {warning}")


def _require_finite_figures(job: Job, figures: dict[str, float]) -> None:
    bad = next((f"{key} is {value}" for key, value in figures.items() if not math.isfinite(value)), "")
    if bad:
        raise InputError(f"{job.exp}: {bad} at step {job.step}; run the same command again to go on from the last checkpoint, or train "
                         "into another directory with a lower train.lr.")


def save(job: Job, every: int, log: TrainLog) -> None:
    """Checkpoint by rank 0, which holds all that the others hold; weights that are not finite never reach the disk."""
    figures = log.pending()
    _require_finite_figures(job, {key: value for key, (value, _) in figures.items()})
    if comm.rank() == 0:
        if not all(bool(value.isfinite().all()) for value in job.method.parameters()):
            raise InputError(f"{job.exp}: a weight is not finite at step {job.step}; run the same command again to go on from the last "
                             "checkpoint, or train elsewhere with a lower train.lr.")
        keep = max(job.config.train.keep, job.config.train.average)
        bests = [[*best["earlier"], best["step"]] for best in (job.best, job.evaluated)]
        checkpoint.save_step(job.exp, job.step, {**job.state(), "figures": figures}, keep, every, job.total, bests)
