"""Optimizer and learning rate, both from the configuration."""
import torch
from torch import nn

from sslspk.nn.schedules import constant_with_warmup, cosine_with_warmup, exponential_with_hold
from sslspk.train.config import SystemConfig


def build_optimizer(method: nn.Module, config: SystemConfig) -> torch.optim.Optimizer:
    """SGD, Adam or AdamW over the trainable parameters; no weight decay on biases and other 1-D parameters."""
    cfg = config.train
    trained = [p for p in method.parameters() if p.requires_grad]
    groups = [{"params": [p for p in trained if p.ndim > 1], "weight_decay": cfg.weight_decay},
              {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0}]
    fused = trained[0].is_cuda or None
    if cfg.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=cfg.lr, momentum=cfg.momentum, nesterov=cfg.nesterov, fused=fused)
    kind = torch.optim.Adam if cfg.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=cfg.lr, betas=cfg.betas, amsgrad=cfg.amsgrad, fused=fused)


def learning_rate(config: SystemConfig, step: int, total: int, per_epoch: int) -> float:
    """The rate of an optimizer step; `lr` is scaled to the batch size when `lr_batch` is given."""
    cfg = config.train
    peak = cfg.lr * (config.data.batch_size / cfg.lr_batch if cfg.lr_batch else 1.0)
    warmup = min(round(cfg.warmup_epochs * per_epoch), total)
    if cfg.schedule == "cosine":
        return cosine_with_warmup(step, peak, cfg.final_lr, warmup, total)
    if cfg.schedule == "exponential":
        hold, halve = round(cfg.hold_epochs * per_epoch), max(1, round(cfg.halve_epochs * per_epoch))
        return exponential_with_hold(step, peak, cfg.final_lr, warmup, hold, halve)
    return constant_with_warmup(step, peak, warmup)
