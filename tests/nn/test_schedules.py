"""Schedules at points worked out by hand."""
import itertools
import math

import pytest

from sslspk.nn.schedules import constant_with_warmup, cosine_ramp, cosine_with_warmup, exponential_with_hold, linear_ramp


def test_constant_with_warmup():
    assert [constant_with_warmup(s, 0.8, 4) for s in (0, 1, 3, 4, 1000)] == pytest.approx([0.2, 0.4, 0.8, 0.8, 0.8])
    assert constant_with_warmup(0, 0.8, 0) == 0.8


def test_cosine_with_warmup():
    def rate(step):
        return cosine_with_warmup(step, 1.0, 0.2, 10, 110)
    assert [rate(s) for s in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert rate(10) == pytest.approx(1.0)
    assert rate(10 + 50) == pytest.approx(0.6)                                    # half-way: the mean of peak and final
    assert rate(10 + 25) == pytest.approx(0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2)   # cos 45 degrees
    assert rate(110) == rate(500) == 0.2


def test_cosine_without_warmup_or_with_nothing_else():
    assert cosine_with_warmup(0, 1.0, 0.0, 0, 100) == 1.0
    assert cosine_with_warmup(99, 1.0, 0.0, 100, 100) == 1.0
    assert cosine_with_warmup(100, 1.0, 0.0, 100, 100) == 0.0


def test_exponential_with_hold():
    def rate(step):
        return exponential_with_hold(step, 0.004, 1e-5, 15_000, 15_000, 60_000)
    assert rate(7_499) == pytest.approx(0.002)
    assert [rate(s) for s in (14_999, 15_000, 29_999, 30_000)] == pytest.approx([0.004] * 4)
    assert rate(60_000) == pytest.approx(0.004 / math.sqrt(2))
    assert [rate(s) for s in (90_000, 150_000)] == pytest.approx([0.002, 0.001])
    assert rate(10_000_000) == 1e-5


def test_cosine_ramp():
    assert cosine_ramp(0, 0.996, 1.0, 300) == pytest.approx(0.996)
    assert cosine_ramp(150, 0.996, 1.0, 300) == pytest.approx(0.998)
    assert cosine_ramp(100, 0.996, 1.0, 300) == pytest.approx(0.997)              # cos 60 degrees = 1/2
    assert cosine_ramp(300, 0.996, 1.0, 300) == cosine_ramp(301, 0.996, 1.0, 300) == 1.0
    assert cosine_ramp(0, 0.996, 1.0, 0) == 1.0


def test_linear_ramp():
    assert [linear_ramp(e, 0.04, 0.07, 30) for e in (0, 10, 15, 30, 99)] == pytest.approx([0.04, 0.05, 0.055, 0.07, 0.07])
    assert linear_ramp(0, 0.04, 0.07, 0) == 0.07
    assert linear_ramp(2.5, 0.0, 0.2, 10) == pytest.approx(0.05)                  # fractions of an epoch


@pytest.mark.parametrize("ramp", [cosine_ramp, linear_ramp])
def test_a_ramp_never_turns_back(ramp):
    values = [ramp(step, 1.0, -1.0, 37) for step in range(60)]
    assert all(a >= b for a, b in itertools.pairwise(values))
