"""Optimizer and learning rate, both from the configuration."""
import torch
from torch import nn

from sslspk.methods.base import Method
from sslspk.nn.schedules import constant_with_warmup, cosine_with_warmup, exponential_with_hold, linear_with_warmup
from sslspk.train.config import SystemConfig


def build_optimizer(method: Method, config: SystemConfig) -> torch.optim.Optimizer:
    """SGD, Adam or AdamW over the trainable parameters; no weight decay on biases and other 1-D parameters.

    A group's `scale` is the factor on its learning rate.
    """
    cfg = config.train
    below = _below_last_layers(method) if cfg.encoder_lr != 1 else set()
    trained = [p for p in method.parameters() if p.requires_grad]
    groups = []
    for scale, part in ((1.0, [p for p in trained if p not in below]), (cfg.encoder_lr, [p for p in trained if p in below])):
        if part:
            groups += [{"params": [p for p in part if p.ndim > 1], "weight_decay": cfg.weight_decay, "scale": scale},
                       {"params": [p for p in part if p.ndim <= 1], "weight_decay": 0.0, "scale": scale}]
    fused = trained[0].is_cuda or None
    if cfg.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=cfg.lr, momentum=cfg.momentum, nesterov=cfg.nesterov, fused=fused)
    kind = torch.optim.Adam if cfg.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=cfg.lr, betas=cfg.betas, eps=cfg.eps, amsgrad=cfg.amsgrad, fused=fused)


def _below_last_layers(method: Method) -> set[nn.Parameter]:
    above = {p for encoder in method.backbones() for layer in encoder.last_layers for p in layer.parameters()}
    return {p for encoder in method.backbones() for p in encoder.parameters()} - above


def learning_rate(config: SystemConfig, step: int, total: int, per_epoch: int) -> float:
    """The rate of an optimizer step; `lr` is scaled to the batch size when `lr_batch` is given."""
    cfg = config.train
    peak = cfg.lr * (config.data.batch_size / cfg.lr_batch if cfg.lr_batch else 1.0)
    warmup = min(cfg.warmup_steps or round(cfg.warmup_epochs * per_epoch), total)
    if cfg.schedule == "cosine":
        return cosine_with_warmup(step, peak, cfg.final_lr, warmup, total)
    if cfg.schedule == "linear":
        return linear_with_warmup(step, peak, cfg.final_lr, warmup, total)
    if cfg.schedule == "exponential":
        hold, halve = round(cfg.hold_epochs * per_epoch), max(1, round(cfg.halve_epochs * per_epoch))
        return exponential_with_hold(step, peak, cfg.final_lr, warmup, hold, halve)
    return constant_with_warmup(step, peak, warmup)
