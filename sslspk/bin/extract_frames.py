"""Frames of whole utterances: `python3 -m sslspk.bin.extract_frames [options] DATA MODEL OUT.ark OUT.scp`.

The frames are the encoder's output before pooling, or the output of --layer: a matrix (frames, channels) for each utterance. Reads
DATA/wav.scp, or DATA/feats.scp where there is no audio. Beside OUT.scp lie OUT.scp.utt2num_frames, and in its folder frame_shift (seconds
from one frame to the next), provenance.json (model_digest: of the encoder's weights) and, where there is one frame for each frame of
features, frame_window (seconds that it sees).
"""
from sslspk.bin.extract_embeddings import command_line, inputs_of, opened, origin
from sslspk.errors import entry, real


def main() -> int:
    parser = command_line(__doc__, "whose frames are written in place of those that are pooled")
    parser.add_argument("--window", type=real, default=60.0, metavar="S",
                        help="longer recordings are read in windows of S seconds (default 60; 0: always whole)")
    parser.add_argument("--margin", type=real, default=1.0, metavar="S",
                        help="overlap of windows: the frames within S seconds of an end are taken from the next window (default 1)")
    parser.add_argument("--compress", choices=("true", "false"), default="false", help="one byte per value (default: false)")
    args = parser.parse_args()
    write(args, *opened(args))
    return 0


def write(args, model, sources: dict) -> None:
    """All utterances into the archive, one at a time."""
    from sslspk import progress
    from sslspk.api.framewise import Framewise
    from sslspk.features.extract import FRAMES
    from sslspk.io import ark, files, provenance, table
    from sslspk.train import model as models
    framewise, counts, whole = Framewise(model, args.layer, args.window, args.margin), {}, not model.config.waveform
    with ark.Writer(args.ark, args.scp, compress=args.compress == "true") as writer:
        for utt, x in zip(sources, progress.over(inputs_of(model, sources, args), "utterances", len(sources)), strict=True):
            found = framewise(x)
            whole = whole and len(found) == x.shape[1]
            counts[utt] = len(found)
            writer.write(utt, found)
        table.write(f"{args.scp}.{FRAMES}", counts)
    with files.atomic_write(args.scp.parent / "frame_shift") as file:
        file.write(f"{framewise.seconds:.6g}\n")
    options = model.config.features
    if whole and options.snip_edges:   # as many as there are frames of features, and where these are
        with files.atomic_write(args.scp.parent / "frame_window") as file:
            file.write(f"{options.window_samples / options.sample_frequency:.6g}\n")
    else:
        (args.scp.parent / "frame_window").unlink(missing_ok=True)
    provenance.write(args.scp.parent, **origin(args), model_digest=models.start(args.model)["digest"])


if __name__ == "__main__":
    entry(main)
