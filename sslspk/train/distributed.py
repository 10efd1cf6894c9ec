"""Ranks: set-up under torchrun (or alone), one device per local rank, and an orderly end."""
import datetime
import gc
import os
import sys
import traceback

import torch
from torch import distributed as dist

from sslspk.errors import InputError


def init(timeout_seconds: int) -> torch.device:
    """Join the job that torchrun started (environment WORLD_SIZE, LOCAL_RANK), or run alone; returns this rank's device.

    With a GPU: nccl, device LOCAL_RANK. Without: gloo. SSLSPK_DEVICE=cpu keeps a GPU machine on its CPU.
    """
    local = int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available() and os.environ.get("SSLSPK_DEVICE", "cuda") != "cpu"
    if cuda and local >= torch.cuda.device_count():
        raise InputError(f"rank {local} of this machine has no GPU: there are {torch.cuda.device_count()}; lower --ngpu.")
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("nccl" if cuda else "gloo", timeout=datetime.timedelta(seconds=timeout_seconds))
    return device


def finish() -> None:
    """Leave the job. Call it when nobody holds the model any more, or while the error that ended the run is on its way up.

    DistributedDataParallel holds the process group. Were it the last to let go of it, gloo's threads would be joined while
    Python's lock is held, which they may be waiting for: the process would hang on its way out (seen with torch 2.11).
    """
    if dist.is_available() and dist.is_initialized():
        error = sys.exc_info()[1]
        if error is not None:
            traceback.clear_frames(error.__traceback__)
        gc.collect()
        dist.destroy_process_group()
