"""Embeddings by a frame-level model of raw audio, pooled over time:
`python3 -m sslspk.bin.extract_frame_model ARCH CHECKPOINT DATA OUT.ark OUT.scp`.

ARCH is wav2vec2_base, wav2vec2_large, wav2vec2_large_lv60k, wav2vec2_xlsr_300m, wav2vec2_xlsr_1b, wav2vec2_xlsr_2b, hubert_base,
hubert_large, hubert_xlarge, wavlm_base or wavlm_large. CHECKPOINT is a state_dict in torchaudio's format, or the word random.
Utterances of DATA/wav.scp (16 kHz) are read one at a time, so that a result does not depend on the others.
provenance.json beside OUT.scp says where the embeddings come from.
"""
import argparse
from pathlib import Path

from sslspk.errors import InputError, count, entry, whole


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arch", metavar="ARCH")
    parser.add_argument("checkpoint", metavar="CHECKPOINT")
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("ark", type=Path)
    parser.add_argument("scp", type=Path)
    parser.add_argument("--layer", default="mean", help="a transformer layer, from 1 on, or mean: the mean of all layers (default)")
    parser.add_argument("--pooling", choices=("mean", "meanstd"), default="mean",
                        help="pooling over time: the mean (default), or mean and standard deviation")
    parser.add_argument("--seed", type=count, default=0, help="seed of the weights if CHECKPOINT is random (default: 0)")
    parser.add_argument("--normalise", choices=("auto", "true", "false"), default="auto",
                        help="scale waveforms to mean 0 and variance 1; auto (default): as the published weights of ARCH need it")
    parser.add_argument("--allow-pipes", choices=("true", "false"), default="false",
                        help="run the entries of wav.scp that are commands (default: false)")
    parser.add_argument("--gpu", type=whole, default=-1, help="GPU number, -1: CPU")
    args = parser.parse_args()

    import torch

    from sslspk import progress
    from sslspk.encoders import architectures, foreign, frame_model
    from sslspk.io import ark, clips, provenance
    from sslspk.io.ahead import ahead
    from sslspk.train import distributed
    if args.arch in foreign.ARCHES:
        raise InputError(f"{args.arch} is an embedding model; write it as a folder (sslspk export '{args.arch} FILE' DIR), and give DIR to "
                         "steps/extract_embeddings.sh.")
    device = distributed.device_of_job(args.gpu)
    model = frame_model.build(args.arch, args.checkpoint, args.seed, {"auto": None, "true": True, "false": False}[args.normalise])
    model.check_layer(args.layer)
    model.to(device)
    with ark.Writer(args.ark, args.scp) as writer, torch.inference_mode():
        audio = clips.read(args.data)
        waves = ahead((clips.utterance(utt, clip, architectures.RATE, args.allow_pipes == "true") for utt, clip in audio.items()), len)
        for utt, samples in zip(audio, progress.over(waves, "utterances", len(audio)), strict=True):
            writer.write(utt, model(torch.from_numpy(samples).to(device), args.layer, args.pooling).cpu().numpy())
    provenance.write(args.scp.parent, args.arch, **origin(args, model.normalise))
    return 0


def origin(args: argparse.Namespace, normalise: bool) -> dict:
    """What provenance.json says beside the architecture's name."""
    known = {"weights": f"layer {args.layer}", "trained_on": Path(args.checkpoint).name, "pooling": args.pooling,
             "normalised_waveform": normalise}
    if args.checkpoint == "random":
        known |= {"weights": f"untrained (layer {args.layer})", "trained_on": "none", "seed": args.seed, "steps": 0}
    return known


if __name__ == "__main__":
    entry(main)
