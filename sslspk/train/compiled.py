"""train.compile: the encoders as torch.compile makes them, one graph for each shape that they are given."""
import torch
from torch import nn

from sslspk.data.config import DataConfig

GRAPHS = 64   # of one piece of code, all crop lengths of all encoders together, before torch would run it uncompiled without a word


def compile_encoders(method: nn.Module, data: DataConfig, backend: str = "inductor") -> None:
    """Compile student and teacher, query and key, in place. The names of weights do not change; heads and losses stay as they are.

    Each crop length has a graph of its own, with its sizes written into it, and so has the teacher, which needs no gradient. Only where
    data.short is whole, and each batch has another length, is one graph made for all of them.
    """
    torch._dynamo.config.cache_size_limit = max(torch._dynamo.config.cache_size_limit, GRAPHS)
    for encoder in method.backbones():
        encoder.compile(backend=backend, dynamic=None if data.short == "whole" else False)
