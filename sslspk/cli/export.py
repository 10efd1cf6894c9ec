"""Write a model for others: as a folder, or as an ONNX file.

    sslspk export exp/dino_ecapa/final.pt dino_ecapa/                                      a folder: weights, card, results, calibration
    sslspk export exp/dino_ecapa/final.pt --onnx dino_ecapa.onnx                           waveform in, embedding out
    sslspk export exp/dino_ecapa/final.pt --onnx dino_ecapa.onnx --onnx-input features     features in, e.g. for sherpa-onnx

sslspk.load, `sslspk embed` and the steps take the folder where they take a final.pt. The ONNX file takes recordings of any length, is
compared with the model before it is written, and needs pip install 'sslspk[onnx]'.
"""
import argparse

from sslspk.errors import InputError


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="final.pt of a training, its folder, or one that sslspk export wrote")
    parser.add_argument("folder", nargs="?", metavar="DIR", help="write the model there, as a folder")
    parser.add_argument("--weights", help="one of the model's encoders (DINO: teacher, student); default: its own choice, and in "
                                          "a folder all of them")
    parser.add_argument("--onnx", metavar="FILE", help="write this ONNX file")
    parser.add_argument("--onnx-input", choices=("wave", "features"),
                        help="what that file reads; wave (default): samples from -1 to 1 at the model's rate; features: those before CMN")
    parser.add_argument("--language", help="language of the training data (default: the exported folder's)")
    parser.add_argument("--licence", help="licence of the model, e.g. cc-by-4.0 (default: the exported folder's)")
    parser.add_argument("--url", help="where the model is published (default: the exported folder's)")


def run(args: argparse.Namespace) -> None:
    if args.onnx is None and args.folder is None:
        raise InputError("no output given; name DIR for a folder, or --onnx FILE.")
    if args.onnx is None and args.onnx_input is not None:
        raise InputError("--onnx-input needs --onnx FILE; give both, or neither.")
    from sslspk.cli import overwriting
    from sslspk.export import folder, graph
    from sslspk.train import model as models
    overwriting.check([args.onnx] if args.onnx else [], overwriting.of_model(args.model), "--onnx")
    said = {"licence": args.licence, "language": args.language, "url": args.url}
    if args.folder is not None:
        files = folder.write(args.model, args.folder, args.weights, **said)
        print(f"wrote {args.folder}: {', '.join(files)}")
    if args.onnx is not None:
        model = models.load(args.model, args.weights)
        reads = args.onnx_input or graph.WAVE
        found = graph.write(model, args.onnx, reads, **said)
        print(f"wrote {args.onnx}; " + ("not compared with the model, as onnxruntime is not installed" if found is None else
                                        f"largest difference from the model: {found:.1e}"))
        if reads == graph.FEATURES:
            print(graph.comment(model, graph.FEATURES))
        if model.config.vad:
            print("The graph does not remove silence. The model was trained without it: remove it first.")
