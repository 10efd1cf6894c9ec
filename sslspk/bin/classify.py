"""Classifies whole utterances by a trained classifier: `python3 -m sslspk.bin.classify DATA MODEL OUT_DIR`.

Writes OUT_DIR/predictions.tsv, the posteriors of the model's classes, and OUT_DIR/provenance.json. One utterance at a time;
with --seconds an utterance's posterior is the mean over pieces of about that length. Reads DATA/wav.scp, or DATA/feats.scp
where there is no audio.
"""
import argparse
from pathlib import Path

from sslspk.errors import InputError, entry, real, whole


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("model", type=Path, metavar="MODEL", help="final.pt of a supervised training")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--seconds", type=real, default=0.0, help="cut utterances into equal pieces, none longer; 0: whole (default)")
    parser.add_argument("--allow-pipes", choices=("true", "false"), default="false",
                        help="run the entries of wav.scp that are commands (default: false)")
    parser.add_argument("--gpu", type=whole, default=-1, help="GPU number, -1: CPU")
    args = parser.parse_args()
    if args.seconds < 0:
        raise InputError(f"--seconds takes a length in seconds, or 0 for whole utterances, not {args.seconds:g}.")

    import torch

    from sslspk import progress
    from sslspk.io import clips, predictions, provenance, silence, table
    from sslspk.train import distributed
    from sslspk.train import model as models
    device = distributed.device_of_job(args.gpu)
    model = models.load(args.model, device=device)
    if model.classifier is None:
        raise InputError(f"{args.model}: holds no classes; fine-tune it on labels first (steps/train.sh, method supervised).")
    sources = clips.read(args.data) if (args.data / "wav.scp").exists() else table.read(args.data / "feats.scp")
    if said := silence.warning(str(args.model), model.config.vad, sources.values(), args.data):
        print(said, flush=True)
    frames = round(args.seconds * 1000 / model.config.features.frame_shift)
    rows = []
    with torch.inference_mode():
        for utt, source in progress.over(sources.items(), "utterances"):
            x = model.features(utt, source, args.allow_pipes == "true")
            pieces = x.tensor_split(-(-x.shape[1] // frames), dim=1) if frames else [x]
            told = [model.classifier.log_posteriors(model.encoder(piece))[0].double().exp() for piece in pieces]
            rows.append(torch.stack(told).mean(0).cpu().numpy())
    predictions.write(args.out / "predictions.tsv", list(sources), model.classes, rows)
    provenance.write(args.out, **models.provenance(args.model))
    return 0


if __name__ == "__main__":
    entry(main)
