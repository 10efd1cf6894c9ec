"""Writes final.pt from the checkpoints of a training that has ended."""
import math
from pathlib import Path

import torch

from sslspk.errors import InputError, counted
from sslspk.io.provenance import machine
from sslspk.nn import comm, saved
from sslspk.train import checkpoint, evaluation, model, of_checkpoint
from sslspk.train.job import Job


def _needed(path: Path, job: Job) -> dict:
    """The method of a checkpoint that final.pt is made of. Raises InputError."""
    try:
        found = checkpoint.load_step(path)["method"]
        wrong = saved.misfit(found, job.method.state_dict())
        if wrong:
            raise checkpoint.Damaged(f"{path}: the checkpoint of another system ({wrong}).")
        return found
    except checkpoint.Damaged as err:
        first = checkpoint.checkpoints(path.parent.parent)[0] == path
        raise InputError(f"{err} final.pt is made of it: remove that checkpoint and all later ones, and the same command makes them "
                         f"again{', from the beginning' if first else ''}.") from None


def finish(job: Job, every: int) -> None:
    """Write final.pt: the encoders, averaged over the last checkpoints if so configured, or those of the best epoch (rank 0)."""
    if comm.rank() != 0:
        return
    count = 1 if job.validation else job.config.train.average
    paths = [checkpoint.at(job.exp, job.best["step"])] if job.validation else checkpoint.regular(job.exp, every, job.total)[-count:]
    if len(paths) < min(count, math.ceil(job.total / every)):
        print(f"warning: final.pt is the average of {counted(len(paths), 'checkpoint')}, not of {count}: the others are not there.",
              flush=True)
    mean = checkpoint.average([_needed(path, job) for path in paths])
    encoders = {name: checkpoint.part(mean, place) for name, place in of_checkpoint.places(job.method).items()}
    classifier = (checkpoint.part(mean, "classifier"), job.classes) if hasattr(job.method, "classifier") else None
    info = {**job.info, "step": job.best["step"] if job.validation else job.step, "averaged": len(paths),
            "chosen": "best" if job.validation else "last", "bad_recordings": len(job.bad), **evaluation.summary(job.evaluated),
            "machine": machine("torch", "numpy", threads=torch.get_num_threads(), ranks=comm.world_size(), device=job.device.type)}
    model.write(job.exp / "final.pt", job.config, job.num_features, encoders, job.method.evaluate, info,
                of_checkpoint.projections(job.method), classifier)
