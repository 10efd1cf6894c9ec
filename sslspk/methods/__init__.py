"""The methods. A new one is a file here, a config model in config.py, and a line in `build`."""


def build(config, encoder_config, num_features: int, num_speakers: int):
    """The Method that `config.name` names, with freshly initialised encoders for `num_features` features a frame.

    num_speakers counts the training labels (0 when there are none); only methods that read labels use it.
    """
    from sslspk.encoders import build as build_encoder
    from sslspk.methods.dino import Dino
    from sslspk.methods.supervised import Supervised

    methods = {
        "dino": Dino,
        "supervised": Supervised,
    }
    return methods[config.name](config, lambda: build_encoder(encoder_config, num_features), num_speakers)
