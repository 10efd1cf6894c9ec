"""Recordings in another speaker's voice: `python3 -m sslspk.bin.convert --pairs PAIRS DATA MODEL OUT`.

MODEL is of method dsvae or cdsvae. The content of a recording, its z_c, is decoded with the mean z_s of the target speaker's recordings in
DATA. PAIRS has lines `ID SOURCE TARGET`: an utterance of DATA, a speaker of its utt2spk. Writes the data directory OUT: log-mel (feats.scp)
and waveforms by Griffin-Lim (wav.scp, wav/ID.wav), utt2spk (the targets), utt2source (the utterances), utt2source_spk, provenance.json.
"""
import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sslspk.errors import InputError, entry, named, whole

if TYPE_CHECKING:
    from sslspk.train.model import Model


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("model", type=Path, metavar="MODEL", help="final.pt of a training, its folder, or one that sslspk export wrote")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--pairs", metavar="FILE", required=True, help="file with lines ID SOURCE TARGET")
    parser.add_argument("--identity", choices=("true", "false"), default="false",
                        help="true: decode each source with its own z_s, for comparison")
    parser.add_argument("--iterations", type=whole, default=60, metavar="N", help="iterations of Griffin-Lim (default 60)")
    args = parser.parse_args()

    from sslspk.io import clips, datadir, table
    from sslspk.train import model as models
    model, utt2spk = models.load(args.model), datadir.read_table(args.data, "utt2spk")
    if model.config.encoder.name != "dsvae":
        raise InputError(f"{named(str(args.model))}: encoder {model.config.encoder.name} has no decoder; give a model of dsvae or cdsvae.")
    pairs, audio = read_pairs(args.pairs, utt2spk), clips.read(args.data)
    tables = write(args, model, pairs, utt2spk, audio)
    sources = {key: source for key, (source, _) in pairs.items()}
    datadir.write(str(args.out), wav=tables["wav"], feats=tables["feats"], utt2spk={key: target for key, (_, target) in pairs.items()},
                  utt2source=sources, utt2source_spk={key: utt2spk[source] for key, source in sources.items()})
    table.write(args.out / "utt2num_frames", tables["frames"])
    return 0


def read_pairs(path: str, utt2spk: dict[str, str]) -> dict[str, tuple[str, str]]:
    """{id: (source, target)} in byte order of the ids. Raises InputError naming a line that names no utterance or no speaker."""
    from sslspk.io import table
    speakers, found = set(utt2spk.values()), {}
    for key, rest in table.read(path).items():
        words = rest.split()
        if len(words) != 2:
            raise InputError(f"{named(path)}: {table.named(key)} needs an utterance and a speaker after it; write ID SOURCE TARGET.")
        if words[0] not in utt2spk:
            raise InputError(f"{named(path)}: there is no utterance {table.named(words[0])} to convert; take one of DATA's utt2spk.")
        if words[1] not in speakers:
            raise InputError(f"{named(path)}: there is no target speaker {table.named(words[1])}; take one of DATA's utt2spk.")
        found[key] = words[0], words[1]
    return dict(sorted(found.items(), key=lambda item: item[0].encode()))


def voices(model: "Model", targets: set[str], utt2spk: dict[str, str], audio: dict) -> dict:
    """{speaker: mean z_s (1, S) over the speaker's utterances}."""
    import torch
    spoken: dict[str, list[str]] = {speaker: [] for speaker in sorted(targets)}
    for utt, speaker in utt2spk.items():
        if speaker in spoken:
            spoken[speaker].append(utt)
    return {speaker: torch.stack([model.encoder(model.features(utt, audio[utt])) for utt in utts]).mean(0)
            for speaker, utts in spoken.items()}


def write(args: argparse.Namespace, model: "Model", pairs: dict, utt2spk: dict[str, str], audio: dict) -> dict[str, dict]:
    """Convert all pairs; the tables wav, feats and frames of what was written."""
    import numpy as np
    import soundfile
    import torch

    from sslspk import progress
    from sslspk.features.griffin_lim import GriffinLim
    from sslspk.io import ark, provenance, table
    from sslspk.train import model as models
    encoder, rate = model.encoder, int(model.config.features.sample_frequency)
    vocoder, wavs, frames = GriffinLim(model.config.features, args.iterations), {}, {}
    (args.out / "wav").mkdir(parents=True, exist_ok=True)
    with torch.inference_mode(), ark.Writer(args.out / "feats.ark", args.out / "feats.scp") as writer:
        speakers = voices(model, {target for _, target in pairs.values()}, utt2spk, audio) if args.identity == "false" else {}
        for key, (source, target) in progress.over(pairs.items(), "pairs"):
            x = model.features(source, audio[source])
            log_mel = encoder.standardise.undo(encoder.decoder(speakers[target] if speakers else encoder(x), encoder.frames(x)))[0]
            writer.write(key, log_mel.numpy())
            wavs[key], frames[key] = str((args.out / "wav" / f"{key}.wav").resolve()), len(log_mel)
            soundfile.write(wavs[key], np.float32(vocoder(log_mel)), rate, subtype="PCM_16")
    provenance.write(args.out, **models.provenance(args.model))
    return {"wav": wavs, "feats": table.read(args.out / "feats.scp"), "frames": frames}


if __name__ == "__main__":
    entry(main)
