"""local/prepare_musan.py and prepare_rirs.py on tiny corpora in the layouts of the originals."""
import numpy as np
import pytest
import soundfile
from test_prepare import good, put, refused

from sslspk.io import audio, datadir, prepare, table


def test_musan(tmp_path):
    names = ("noise/free-sound/noise-free-sound-0000", "noise/rain/drops-1", "music/fma/music-fma-0000",
             "music/fma-western-art/music-fma-western-art-0000", "speech/us-gov/speech-us-gov-0000")
    for seed, name in enumerate(names):
        put(tmp_path / f"musan/{name}.wav", seed)
    (tmp_path / "musan/noise/free-sound/LICENSE").write_text("free")
    (tmp_path / "musan/noise/free-sound/._noise-free-sound-0000.wav").write_text("left by a Mac")
    said = good("musan", tmp_path / "musan", tmp_path / "data")
    assert "musan_noise: 2 utterances, 2 classes" in said
    noise = datadir.validate(str(tmp_path / "data/musan_noise"), check_files=True)
    assert noise["utt2spk"] == {"noise-free-sound-0000": "noise-free-sound", "noise-rain-drops-1": "noise-rain"}
    assert noise["wav.scp"]["noise-rain-drops-1"] == str(tmp_path / "musan/noise/rain/drops-1.wav")
    assert table.read(tmp_path / "data/musan_music/utt2spk") == {
        "music-fma-0000": "music-fma", "music-fma-western-art-0000": "music-fma-western-art"}
    assert "no part 'babble'" in refused("musan", "--parts", "noise,babble", tmp_path / "musan", tmp_path / "data")


@pytest.mark.parametrize("name", ["a.WAVE", "b.sphere", "c.aifc", "d.caf", "e.w64", "f.oga", "g.mka", "h.3gp", "i.mp2", "j.snd"])
def test_no_usual_name_of_a_recording_is_passed_over(tmp_path, name):
    (tmp_path / name).write_bytes(b"-")
    (tmp_path / "LICENSE.txt").write_text("-")
    assert prepare.find_audio(str(tmp_path)) == [str(tmp_path / name)]


def test_a_folder_that_cannot_be_read_does_not_pass_for_an_empty_one(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="circle"):
        prepare.find_audio(str(tmp_path / "circle"))
    assert prepare.find_audio(str(tmp_path / "nowhere")) == []


def test_musan_lacks_a_kind(tmp_path):
    put(tmp_path / "musan/noise/a/b.wav", 0)
    said = refused("musan", tmp_path / "musan", tmp_path / "data")
    assert "musan/music/<class>" in said and "OpenSLR" in said
    good("musan", "--parts", "noise", tmp_path / "musan", tmp_path / "data")


@pytest.fixture
def rirs(tmp_path):
    """RIRS_NOISES: two small rooms with a list, a medium room without, real ones of two channels beside noises."""
    root = tmp_path / "RIRS_NOISES"
    small = []
    for room in ("Room001", "Room002"):
        for number in (1, 2):
            name = f"simulated_rirs/smallroom/{room}/{room}-{number:05d}.wav"
            put(root / name, number)
            small.append(f"--rir-id {number:05d} --room-id {room} --source-position-id {number} RIRS_NOISES/{name}\n")
    (root / "simulated_rirs/smallroom/rir_list").write_text("".join(small).rstrip("\n"))
    put(root / "simulated_rirs/smallroom/Room003/unlisted.wav", 3)
    put(root / "simulated_rirs/mediumroom/Room001/Room001-00001.wav", 4)
    real = root / "real_rirs_isotropic_noises"
    put(real / "RVB2014_type1_rir_largeroom1_far_angla.wav", 5, channels=2)
    put(real / "RVB2014_type1_noise_largeroom1_1.wav", 6)
    (real / "rir_list").write_text("--rir-id 1 --room-id RVB2014_largeroom1 "
                                   "RIRS_NOISES/real_rirs_isotropic_noises/RVB2014_type1_rir_largeroom1_far_angla.wav\n")
    return root


def test_rirs(rirs, tmp_path):
    said = good("rirs", rirs, tmp_path / "data")
    small = datadir.validate(str(tmp_path / "data/rirs_small"), check_files=True)["utt2spk"]
    assert small == {f"small-Room00{room}-0000{number}": f"small-Room00{room}" for room in (1, 2) for number in (1, 2)}
    assert table.read(tmp_path / "data/rirs_medium/utt2spk") == {"medium-Room001-00001": "medium-Room001"}
    utt = "real-RVB2014_largeroom1-RVB2014_type1_rir_largeroom1_far_angla"
    real = table.read(tmp_path / "data/rirs_real/wav.scp")
    assert list(real) == [utt] and not (tmp_path / "data/rirs_large").exists()
    assert "1 of several channels reduced to the first" in said
    both = soundfile.read(next((rirs / "real_rirs_isotropic_noises").glob("*_rir_*.wav")), dtype="int16")[0]
    assert np.array_equal(audio.read(real[utt])[0], both[:, 0])


def test_real_rirs_without_their_list(rirs, tmp_path):
    (rirs / "real_rirs_isotropic_noises/rir_list").unlink()
    good("rirs", "--parts", "real", rirs, tmp_path / "data")
    assert list(table.read(tmp_path / "data/rirs_real/utt2spk")) == ["real-RVB2014_type1_rir_largeroom1_far_angla"]


def test_rirs_refusals(rirs, tmp_path):
    assert "simulated_rirs/largeroom" in refused("rirs", "--parts", "small,large", rirs, tmp_path / "data")
    assert "OpenSLR" in refused("rirs", tmp_path, tmp_path / "data")
    listed = rirs / "simulated_rirs/smallroom/rir_list"
    listed.write_text(listed.read_text() + "\n--room-id Room001 Room001.flv\n")
    assert "rir_list:5: " in refused("rirs", rirs, tmp_path / "data")
    listed.write_text("--room-id Room009 RIRS_NOISES/simulated_rirs/smallroom/Room009/gone.wav\n")
    assert "bad recordings: 1 of 3" in refused("rirs", rirs, tmp_path / "data")
