"""Schedules: pure functions of the step (in steps or epochs, whole or fractional), without torch and without state.

They are defined for every step >= 0; past their end they keep the last value, so that a run can be extended.
"""
import math


def constant_with_warmup(step: float, peak: float, warmup: int) -> float:
    """peak * (step + 1) / warmup while step < warmup, then peak. The first step already has a rate above zero."""
    return peak * min(1.0, (step + 1) / warmup) if warmup > 0 else peak


def cosine_with_warmup(step: float, peak: float, final: float, warmup: int, total: int) -> float:
    """Linear warm-up to `peak`, then half a cosine down to `final` at step `total`.

    step < warmup: peak * (step + 1) / warmup
    after it:      final + (peak - final) * (1 + cos(pi * (step - warmup) / (total - warmup))) / 2
    """
    if step < warmup:
        return constant_with_warmup(step, peak, warmup)
    return cosine_ramp(step - warmup, peak, final, total - warmup)


def exponential_with_hold(step: float, peak: float, final: float, warmup: int, hold: int, halve: int) -> float:
    """Linear warm-up to `peak`, `hold` steps there, then halved every `halve` steps, never below `final`.

    step < warmup: peak * (step + 1) / warmup
    after it:      max(final, peak * 2 ^ -(max(0, step - warmup - hold) / halve))

    The second DINO recipe of JHU (hyperion, egs/voxceleb/ssl.v1): warmup 15k, hold 15k, halve 60k, final 1e-5.
    """
    if step < warmup:
        return constant_with_warmup(step, peak, warmup)
    return max(final, peak * 0.5 ** (max(0.0, step - warmup - hold) / halve))


def linear_with_warmup(step: float, peak: float, final: float, warmup: int, total: int) -> float:
    """Linear warm-up to `peak`, then linear decay to `final` at step `total` (BERT, wav2vec 2.0).

    step < warmup: peak * (step + 1) / warmup
    after it:      peak + (final - peak) * (step - warmup) / (total - warmup)
    """
    if step < warmup:
        return constant_with_warmup(step, peak, warmup)
    return linear_ramp(step - warmup, peak, final, total - warmup)


def geometric_decay(step: float, start: float, end: float, factor: float) -> float:
    """start * factor ^ step, never below `end`. The Gumbel temperature of wav2vec 2.0: geometric_decay(step, 2, 0.5, 0.999995)."""
    return max(start * factor ** step, end)


def cosine_ramp(step: float, start: float, end: float, total: float) -> float:
    """From `start` at step 0 to `end` at step `total` along half a cosine: slow, fast, slow.

    end + (start - end) * (1 + cos(pi * step / total)) / 2. DINO's teacher momentum: cosine_ramp(step, 0.996, 1, steps).
    """
    if step >= total:
        return end
    return end + (start - end) * (1 + math.cos(math.pi * max(step, 0) / total)) / 2


def linear_ramp(step: float, start: float, end: float, length: float) -> float:
    """Linear from `start` at step 0 to `end` at step `length`, then `end`; with length 0, `end` at once.

    start + (end - start) * step / length. DINO's teacher temperature: linear_ramp(epoch, 0.04, 0.07, 30).
    """
    if step >= length:
        return end
    return start + (end - start) * max(step, 0) / length
