"""BatchNorm over groups of a fixed number of recordings, however large the batch and however many the ranks.

A contrastive method whose queries and keys share a batch can cheat: BatchNorm's statistics reveal which key was computed together
with which query (He et al. 2020, "shuffling BN"). Small groups prevent this when each key is in another group than its query.
A group never crosses ranks, so two ranks compute what one rank computes.

    group_batch_norm.convert(module, 32)      once, before training
    group_batch_norm.average(module)          after each step: makes the running statistics the mean over all ranks' groups
"""
import torch
from torch import Tensor, nn

from sslspk.errors import InputError
from sslspk.nn import comm
from sslspk.nn.batch_norm import batch_norm
from sslspk.nn.sync_batchnorm import replace_norms


class _GroupBatchNorm(nn.modules.batchnorm._BatchNorm):
    group = 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        if x.shape[0] % self.group:
            raise InputError(f"{x.shape[0]} utterances per rank do not fall into groups of {self.group} for BatchNorm; change "
                             "method.batch_norm_group, or make data.batch_size a multiple of ranks x batch_norm_group.")
        groups = x.split(self.group)
        means, variances = (statistic.new_zeros(len(groups), x.shape[1]) for statistic in (self.running_mean, self.running_var))
        parts = [batch_norm(part, mean, var, self.weight, self.bias, 1.0, self.eps)  # momentum 1: the group's own statistics
                 for part, mean, var in zip(groups, means, variances, strict=True)]
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(means.mean(0), self.momentum)
            self.running_var.lerp_(variances.mean(0), self.momentum)
        return torch.cat(parts) if len(parts) > 1 else parts[0]


class GroupBatchNorm1d(_GroupBatchNorm):
    def _check_input_dim(self, x: Tensor) -> None:
        nn.BatchNorm1d._check_input_dim(self, x)


class GroupBatchNorm2d(_GroupBatchNorm):
    def _check_input_dim(self, x: Tensor) -> None:
        nn.BatchNorm2d._check_input_dim(self, x)


GROUPED = {nn.BatchNorm1d: GroupBatchNorm1d, nn.BatchNorm2d: GroupBatchNorm2d}


def convert(module: nn.Module, group: int) -> nn.Module:
    """Replace every BatchNorm1d and BatchNorm2d of `module` by one that normalises groups of `group` recordings; returns the module."""
    module = replace_norms(module, GROUPED)
    for layer in module.modules():
        if isinstance(layer, _GroupBatchNorm):
            layer.group = group
    return module


@torch.no_grad()
def average(module: nn.Module) -> None:
    """Set every rank's running statistics to their mean. Moving averages are linear: this equals one rank that has seen all groups."""
    if comm.world_size() == 1:
        return
    buffers = [b for layer in module.modules() if isinstance(layer, _GroupBatchNorm) for b in (layer.running_mean, layer.running_var)]
    flat = comm.mean_over_ranks(torch.cat(buffers))
    for buffer, mean in zip(buffers, flat.split([len(b) for b in buffers]), strict=True):
        buffer.copy_(mean)
