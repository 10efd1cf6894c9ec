"""Write a model for others: as an ONNX file.

    sslspk export exp/dino_ecapa/final.pt --onnx dino_ecapa.onnx                           waveform in, embedding out
    sslspk export exp/dino_ecapa/final.pt --onnx dino_ecapa.onnx --onnx-input features     features in, e.g. for sherpa-onnx

The ONNX file takes recordings of any length. It is compared with the model before it is written. Needs pip install 'sslspk[onnx]'.
"""
import argparse

from sslspk.errors import InputError


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="final.pt of a training, or the folder that holds it")
    parser.add_argument("--weights", help="one of the model's encoders (DINO: teacher, student); default: its own choice")
    parser.add_argument("--onnx", metavar="FILE", help="write this ONNX file")
    parser.add_argument("--onnx-input", choices=("wave", "features"), default="wave",
                        help="wave (default): samples from -1 to 1 at the model's rate; features: those before CMN")
    parser.add_argument("--language", default="unknown", help="of the recordings that it was trained on, for the file's metadata")
    parser.add_argument("--url", default="unknown", help="where the model is published, for the file's metadata")


def run(args: argparse.Namespace) -> None:
    if args.onnx is None:
        raise InputError("what is to be written? Give --onnx FILE.")
    from sslspk.export import graph
    from sslspk.train import model as models
    found = graph.write(models.load(args.model, args.weights), args.onnx, args.onnx_input, args.language, args.url)
    print(f"wrote {args.onnx}; " + ("not compared with the model, as onnxruntime is not installed" if found is None else
                                    f"largest difference from the model: {found:.1e}"))
