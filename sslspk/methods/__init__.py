"""The methods. docs/new_method.md says how to add one: a file here, its options, and a line in `build`."""


def build(config, encoder_config, num_features: int, corpus):
    """The Method that `config.name` names, with freshly initialised encoders for `num_features` features a frame.

    corpus: methods.base.Corpus, the size of what it will learn from.
    """
    from sslspk.encoders import build as build_encoder
    from sslspk.methods.angular import Angular
    from sslspk.methods.byol import Byol
    from sslspk.methods.cpc import Cpc
    from sslspk.methods.decorrelation import Decorrelation
    from sslspk.methods.dino import Dino
    from sslspk.methods.dsvae import Dsvae
    from sslspk.methods.in_batch import InBatch
    from sslspk.methods.lim import Lim
    from sslspk.methods.masked_prediction import MaskedPrediction
    from sslspk.methods.moco import Moco
    from sslspk.methods.moco_dino import MocoDino
    from sslspk.methods.pase import Pase
    from sslspk.methods.sdpn import Sdpn
    from sslspk.methods.siamese import Siamese
    from sslspk.methods.supervised import Supervised
    from sslspk.methods.vq_wav2vec import VqWav2vec
    from sslspk.methods.wav2vec2 import Wav2Vec2Pretraining

    methods = {
        "angular": Angular, "barlow_twins": Decorrelation, "byol": Byol, "cdsvae": Dsvae, "cpc": Cpc, "dino": Dino,
        "dsvae": Dsvae, "gcl": InBatch, "lim": Lim,
        "masked_prediction": MaskedPrediction, "moco": Moco, "moco+dino": MocoDino, "pase": Pase, "sdpn": Sdpn, "siamese": Siamese,
        "simclr": InBatch, "supcon": InBatch, "supervised": Supervised, "vicreg": Decorrelation, "vq_wav2vec": VqWav2vec,
        "wav2vec2": Wav2Vec2Pretraining,
    }
    return methods[config.name](config, lambda: build_encoder(encoder_config, num_features), corpus)
