"""The encoders. A new one is a file here, a config model in config.py, and a line in `build`."""


def build(config, num_features: int):
    """The freshly initialised Encoder that `config.name` names, for frames of `num_features` features (of a waveform: 1)."""
    from sslspk.encoders.cpc import CpcEncoder
    from sslspk.encoders.dsvae import DsvaeEncoder
    from sslspk.encoders.ecapa import Ecapa
    from sslspk.encoders.lresnet34 import LResNet34
    from sslspk.encoders.pase import PaseEncoder
    from sslspk.encoders.resnetse34l import ResNetSE34L
    from sslspk.encoders.tdnn import Tdnn
    from sslspk.encoders.vq_wav2vec import VqWav2vecEncoder
    from sslspk.encoders.wav2vec2 import Wav2Vec2

    encoders = {
        "cpc": CpcEncoder,
        "dsvae": DsvaeEncoder,
        "ecapa": Ecapa,
        "lresnet34": LResNet34,
        "pase": PaseEncoder,
        "resnetse34l": ResNetSE34L,
        "tdnn": Tdnn,
        "vq_wav2vec": VqWav2vecEncoder,
        "wav2vec2": Wav2Vec2,
    }
    return encoders[config.name](config, num_features)
