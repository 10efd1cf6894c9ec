"""A tiny packed corpus of tones, for trainings that take about a second."""
import numpy as np

from sslspk.io import audio, datadir, table

RATE = 16000


def make_data(folder, count=12):
    """`count` noisy tones of 0.5 to 0.9 s; a pair of neighbours is one speaker."""
    folder.mkdir()
    rng = np.random.default_rng(7)
    lengths = {}
    with audio.PackWriter(folder / "wav.ark", folder / "pack.scp") as pack:
        for i in range(count):
            utt, n = f"s{i // 2:02d}-u{i:02d}", int(rng.integers(8000, 14400))
            tone = np.sin(2 * np.pi * (150 + 40 * (i // 2)) * np.arange(n) / RATE) + 0.3 * rng.normal(size=n)
            pack.write(utt, (3000 * tone).astype(np.int16), RATE)
            lengths[utt] = n
    wav = table.read(folder / "pack.scp")
    datadir.write(folder, wav=wav, utt2spk={u: u.split("-")[0] for u in wav}, utt2num_samples=lengths)
    return folder
