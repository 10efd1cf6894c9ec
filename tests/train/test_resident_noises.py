"""Trainings whose noises and rooms are in the device's memory, as augment.on_device asks for."""
import numpy as np
import pytest
import torch
from tones import RATE, tiny

from sslspk.errors import InputError
from sslspk.io import audio, datadir, table
from sslspk.train import checkpoint, loop
from sslspk.train.config import config_hash, differences
from sslspk.train.job import prepare


@pytest.fixture
def lists(tmp_path):
    """Noises shorter and longer than a crop, one of them silent here and there; rooms."""
    rng = np.random.default_rng(3)
    for kind, lengths in (("noise", (3000, 30000)), ("speech", (9000, 20000)), ("rir_small", (500, 5000))):
        folder = tmp_path / "augment" / kind
        folder.mkdir(parents=True)
        sizes = {f"r{i}": n for i, n in enumerate(lengths)}
        with audio.PackWriter(folder / "wav.ark", folder / "pack.scp") as pack:
            for utt, n in sizes.items():
                decay = np.exp(-np.arange(n) / 300) if kind.startswith("rir") else np.arange(n) // 6000 % 2
                pack.write(utt, (rng.normal(0, 2000, n) * decay).astype(np.int16), RATE)
        wav = table.read(folder / "pack.scp")
        datadir.write(folder, wav=wav, utt2spk={utt: utt for utt in wav}, utt2num_samples=sizes)
    return tmp_path / "augment"


def noisy(lists, **changes):
    return tiny(**{"augment": {"dir": str(lists), "rir_seconds": 0.1, "noise_prob": 0.8, "speech_prob": 0.5, "eq_prob": 0.5, **changes}})


@pytest.mark.parametrize("workers", [0, 2])
def test_the_weights_are_those_of_a_training_that_reads_them(data, lists, tmp_path, capsys, workers):
    found, last = [], "ckpt/step-00000006.pt"
    for name, on_device, number in (("read", False, 0), ("kept", True, workers)):
        config = noisy(lists, on_device=on_device)
        config = config.model_copy(update={"data": config.data.model_copy(update={"workers": number})})
        job = prepare(config, data, tmp_path / name, torch.device("cpu"), print)
        assert ("; on the device, " in capsys.readouterr().out) == on_device == (job.front_end.recordings is not None)
        assert loop.train(job) == 0
        found.append(checkpoint.load(tmp_path / name / last)["method"])
    assert found[0].keys() == found[1].keys() and all(torch.equal(value, found[1][key]) for key, value in found[0].items())


def test_a_run_may_go_on_with_the_recordings_elsewhere(lists):
    assert differences(noisy(lists), noisy(lists, on_device=True)) == []
    assert config_hash(noisy(lists)) == config_hash(noisy(lists, on_device=False))


def test_it_is_for_waveforms(lists):
    with pytest.raises(InputError, match=r"augment.on_device .*input is feats"):
        tiny(**{"augment.on_device": True, "data.input": "feats"})
    assert tiny(**{"augment.on_device": False, "data.input": "feats"}).augment.on_device is False
