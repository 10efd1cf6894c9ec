"""What the logs of a training say of its CPU time."""
import pytest

from sslspk.train import cpu_time


def test_all_starts_count(tmp_path):
    assert cpu_time.of_experiment(tmp_path) is None
    (tmp_path / "log").mkdir()
    (tmp_path / "log/train.log").write_text("12:00:00 step 1\n")
    assert cpu_time.of_experiment(tmp_path) is None
    said = cpu_time.sentence()
    assert float(cpu_time.SAYS.fullmatch(said)[1]) > 0
    (tmp_path / "log/train.20260101-000000.log").write_text("12:00:00 CPU time of rank 0: 61.5 s\n")
    (tmp_path / "log/train.log").write_text("12:00:00 step 1\n12:00:00 CPU time of rank 0: 30.0 s\n# Ended\n")
    (tmp_path / "log/classify.1.log").write_text("CPU time of rank 0: 9.0 s\n")
    assert cpu_time.of_experiment(tmp_path) == pytest.approx(91.5)
