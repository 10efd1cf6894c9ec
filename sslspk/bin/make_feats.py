"""Features of every recording of a data directory: `python3 -m sslspk.bin.make_feats --conf conf/fbank.yaml DIR ARK SCP`.

Writes ARK and SCP in Kaldi's form, SCP.utt2num_frames and SCP.utt2dur. Any recording that cannot be read, has another rate,
or is shorter than one frame stops the job and is named.
"""
import argparse

from sslspk.errors import InputError, entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conf", help="feature options (YAML); without it Kaldi's defaults at 80 bins")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override, e.g. num_mel_bins=40 (repeatable)")
    parser.add_argument("--compress", choices=("true", "false"), default="true", help="one byte per value, as Kaldi's --compress=true")
    parser.add_argument("--allow-pipes", choices=("true", "false"), default="false", help="run the entries of wav.scp that are commands")
    parser.add_argument("dir", metavar="DIR")
    parser.add_argument("ark", metavar="ARK", help="archive to write")
    parser.add_argument("scp", metavar="SCP", help="table to write")
    args = parser.parse_args()

    from sslspk.config import load
    from sslspk.features.config import FeatureOptions
    options = load(FeatureOptions, args.conf, args.set)

    from tqdm import tqdm

    from sslspk.features.fbank import Extractor
    from sslspk.io import ark, table
    extractor, frames, seconds = Extractor(options), {}, {}
    specs = table.read(f"{args.dir}/wav.scp")
    with ark.Writer(args.ark, args.scp, args.compress == "true") as writer:
        for utt, spec in tqdm(specs.items(), desc="features", unit="utt", disable=None):
            feats, seconds[utt] = features(extractor, utt, spec, args.allow_pipes == "true")
            writer.write(utt, feats)
            frames[utt] = len(feats)
    table.write(f"{args.scp}.utt2num_frames", frames)
    table.write(f"{args.scp}.utt2dur", {utt: f"{value:.4f}" for utt, value in seconds.items()})
    print(f"make_feats: {len(frames)} utterances, {sum(frames.values())} frames")


def features(extractor, utt: str, spec: str, allow_pipes: bool):
    """(T, F) float32 and the duration in seconds; InputError names the utterance."""
    import torch

    from sslspk.io import audio
    try:
        samples, rate = audio.read(spec, allow_pipes)
    except InputError as err:
        raise InputError(f"{utt}: {err}") from err
    if rate != extractor.options.sample_frequency:
        raise InputError(f"{utt}: {spec} has {rate} Hz and the features are for {extractor.options.sample_frequency:g} Hz; "
                         "resample with steps/pack_audio.sh, or set sample_frequency.")
    if not extractor.num_frames(len(samples)):
        raise InputError(f"{utt}: {spec} has {len(samples)} samples, less than one frame; leave it out (utils/subset_data_dir.sh).")
    return extractor(torch.from_numpy(samples)[None])[0].numpy(), len(samples) / rate


if __name__ == "__main__":
    entry(main)
