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
    parser.add_argument("--onnx-input", choices=("wave", "features"), default="wave",
                        help="wave (default): samples from -1 to 1 at the model's rate; features: those before CMN")
    parser.add_argument("--language", default="unknown", help="of the recordings that it was trained on")
    parser.add_argument("--licence", default="unknown", help="of the model, for the folder's card, e.g. cc-by-4.0")
    parser.add_argument("--url", default="unknown", help="where the model is published, for the metadata of the ONNX file")


def run(args: argparse.Namespace) -> None:
    if args.onnx is None and args.folder is None:
        raise InputError("what is to be written? Give DIR for a folder, or --onnx FILE.")
    from sslspk.export import folder, graph
    from sslspk.train import model as models
    if args.folder is not None:
        files = folder.write(args.model, args.folder, args.weights, args.licence, args.language)
        print(f"wrote {args.folder}: {', '.join(files)}")
    if args.onnx is not None:
        model = models.load(args.model, args.weights)
        found = graph.write(model, args.onnx, args.onnx_input, args.language, args.url)
        print(f"wrote {args.onnx}; " + ("not compared with the model, as onnxruntime is not installed" if found is None else
                                        f"largest difference from the model: {found:.1e}"))
        if args.onnx_input == graph.FEATURES:
            print(graph.comment(model, graph.FEATURES))
        if model.config.vad:
            print("silence is not cut in it; cut it before, as the model was trained")
