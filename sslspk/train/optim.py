"""Optimizer and learning rate, both from the configuration."""
import torch
from torch import nn

from sslspk.errors import InputError
from sslspk.methods.base import Method
from sslspk.nn.schedules import constant_with_warmup, cosine_with_warmup, exponential_with_hold, linear_with_warmup
from sslspk.train.config import SystemConfig, TrainConfig


def build_optimizer(method: Method, config: SystemConfig) -> torch.optim.Optimizer:
    """SGD, Adam or AdamW over the trainable parameters; no weight decay on biases, other 1-D parameters and method.undecayed().

    A group's `scale` is the factor on its learning rate.
    """
    cfg = config.train
    factors = _factors(method, cfg)
    trained = [p for p in method.parameters() if p.requires_grad]
    groups, fixed = [], set(method.undecayed())
    for scale in sorted({factors.get(p, 1.0) for p in trained}, key=lambda factor: (factor != 1, -factor)):
        part = [p for p in trained if factors.get(p, 1.0) == scale]
        groups += [{"params": [p for p in part if p.ndim > 1 and p not in fixed], "weight_decay": cfg.weight_decay, "scale": scale},
                   {"params": [p for p in part if p.ndim <= 1 or p in fixed], "weight_decay": 0.0, "scale": scale}]
    fused = trained[0].is_cuda or None
    if cfg.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=cfg.lr, momentum=cfg.momentum, nesterov=cfg.nesterov, fused=fused)
    kind = torch.optim.Adam if cfg.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=cfg.lr, betas=cfg.betas, eps=cfg.eps, amsgrad=cfg.amsgrad, fused=fused)


def _factors(method: Method, cfg: TrainConfig) -> dict[nn.Parameter, float]:
    """The factor on the rate of each parameter that has one: encoder_lr below the last layers, layer_decay once for each layer above.

    Raises InputError where layers have no order.
    """
    factors = dict.fromkeys(_below_last_layers(method), cfg.encoder_lr) if cfg.encoder_lr != 1 else {}
    if cfg.layer_decay == 1:
        return factors
    for encoder in method.backbones():
        if not encoder.depths:
            raise InputError("train.layer_decay: only encoders of waveforms have layers in an order; leave it out, or use "
                             "train.encoder_lr.")
        for above, parts in enumerate(reversed(encoder.depths)):
            for weight in (weight for part in parts for weight in part.parameters()):
                factors[weight] = factors.get(weight, 1.0) * cfg.layer_decay ** above
    return factors


def _below_last_layers(method: Method) -> set[nn.Parameter]:
    above = {p for encoder in method.backbones() for layer in encoder.last_layers for p in layer.parameters()}
    return {p for encoder in method.backbones() for p in encoder.parameters()} - above


def clip_gradients(method: nn.Module, cfg: TrainConfig) -> torch.Tensor:
    """Scale the gradients down to norm clip_norm, together or one by one (as Caron et al.'s DINO); what their norm was, together."""
    if cfg.clip == "all":
        return torch.nn.utils.clip_grad_norm_(method.parameters(), cfg.clip_norm, foreach=True)
    gradients = [p.grad for p in method.parameters() if p.grad is not None]
    norms = torch.stack(torch._foreach_norm(gradients))
    torch._foreach_mul_(gradients, list((cfg.clip_norm / (norms + 1e-6)).clamp(max=1.0)))
    return torch.linalg.vector_norm(norms)


def learning_rate(config: SystemConfig, step: int, total: int, per_epoch: int) -> float:
    """The rate of an optimizer step; `lr` is scaled to the batch size when `lr_batch` is given."""
    cfg = config.train
    peak = cfg.lr * (config.data.batch_size / cfg.lr_batch if cfg.lr_batch else 1.0)
    warmup = warmup_steps(cfg, total, per_epoch)
    if cfg.schedule == "cosine":
        return cosine_with_warmup(step, peak, cfg.final_lr, warmup, total)
    if cfg.schedule == "linear":
        return linear_with_warmup(step, peak, cfg.final_lr, warmup, total)
    if cfg.schedule == "exponential":
        hold, halve = round(cfg.hold_epochs * per_epoch), max(1, round(cfg.halve_epochs * per_epoch))
        return exponential_with_hold(step, peak, cfg.final_lr, warmup, hold, halve)
    return constant_with_warmup(step, peak, warmup)


def warmup_steps(cfg: TrainConfig, total: int, per_epoch: int) -> int:
    """Optimizer steps until the rate has reached its peak."""
    return min(cfg.warmup_steps or round(cfg.warmup_epochs * per_epoch), total)
