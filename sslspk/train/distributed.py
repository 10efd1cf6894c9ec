"""Ranks: set-up under torchrun (or alone), one device per local rank, and an orderly end."""
import ctypes
import datetime
import os
import signal
import sys
from typing import NoReturn

import torch
from torch import distributed as dist

from sslspk import errors
from sslspk.errors import InputError, counted
from sslspk.launch import memory

AGENT = "SSLSPK_AGENT"  # environment: process id of the agent that starts the ranks


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
        set_products()
    else:
        memory.keep_freed()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        _die_with_parent()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("nccl" if cuda else "gloo", timeout=datetime.timedelta(seconds=timeout_seconds))
        sys.excepthook = _tell_and_leave
    return device


def set_products() -> None:
    """TF32 (10 bits of mantissa) for convolutions, never for products of matrices,
    because a head's outputs are divided by 0.04 to 0.07, which magnifies the error.

    These are torch's defaults, which images of some vendors change by a variable of the environment.
    """
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.matmul.allow_tf32 = False


def device_of_job(gpu: int) -> torch.device:
    """The device of a step's option --gpu: that GPU, or for -1 the CPU. InputError where this machine has no such GPU."""
    if gpu >= torch.cuda.device_count():
        raise InputError(f"--gpu {gpu}: this machine has {torch.cuda.device_count()} GPUs.")
    if gpu >= 0:
        return torch.device("cuda", gpu)
    memory.keep_freed()
    return torch.device("cpu")


def require_gpus(wanted: int) -> None:
    """InputError where this machine, or what this job may see of it, has fewer GPUs: a training would go on on its CPU."""
    found = torch.cuda.device_count() if os.environ.get("SSLSPK_DEVICE", "cuda") != "cpu" else 0
    if wanted > found:
        raise InputError(f"--ngpu {wanted}: {os.uname().nodename} has {counted(found, 'GPU')} for this job; ask for fewer (0: train on the "
                         "CPU), or run where there are as many.")


def _die_with_parent() -> None:
    """Have this rank killed when the agent that started it is gone: torch gives each rank a session of its own, where nobody finds it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        agent = os.environ.get(AGENT)
        if agent and os.getppid() != int(agent):
            sys.exit(f"train.py: error: the process that started this rank ({agent}) is gone.")


def _tell_and_leave(*error) -> None:
    sys.__excepthook__(*error)
    leave(1)


def leave(status: int) -> NoReturn:
    """End this process with `status`, at once.

    gloo's threads outlive the last step and let go of tensors, for which they need Python's lock. Were Python itself to tidy
    up meanwhile, they would be waited for (a hang) or cut short (SIGABRT); both were seen with torch 2.11.
    """
    if dist.is_available() and dist.is_initialized() and status == 0 and dist.get_backend() == "nccl":
        dist.destroy_process_group()
    errors.leave(status)
