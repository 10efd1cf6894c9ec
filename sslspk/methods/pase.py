"""PASE and PASE+: one encoder, many workers (Pascual et al. 2019, arXiv 1904.03416; Ravanelli et al. 2020, arXiv 2001.09239).

From the encoder's frames, each worker predicts something known about the waveform: its samples, spectra, cepstra or pitch, or whether
another crop is of the same recording. Frames that serve all workers should serve many tasks. In PASE+ the encoder reads a distorted crop,
and the workers predict the clean one.
"""
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sslspk.encoders.base import Encoder
from sslspk.errors import InputError
from sslspk.losses.precision import wide
from sslspk.methods.base import Batch, Corpus, Method, Progress, of_another
from sslspk.methods.config_pase import PaseConfig
from sslspk.methods.pase_workers import FutureWorker, OrderWorker, PairWorker, RegressionWorker, WaveformWorker
from sslspk.nn.monitors import effective_rank

PURPOSE = 1   # of the draw of other recordings; that of spc is 0


class Pase(Method):
    """The loss is the sum of the workers' losses times their weights, 1 each in both papers. What balances them is that the features to
    predict are standardised (nn.standardise): by the first batches here, by a separate pass over as many in the authors' code.

    Logged: loss_WORKER of each, without its weight, and accuracy_WORKER of mi, cmi, spc and cpc. The other recording of mi and cmi is the
    one some places further on in the batch of all ranks, so that two ranks compute what one computes.
    Raises InputError for a crop too short for spc or cpc, and where mi, cmi or cpc have no other recording.
    """

    def __init__(self, config: PaseConfig, new_encoder: Callable[[], Encoder], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, config.crops, config.evaluate
        self.encoder = new_encoder()
        dim, rate, hop = self.encoder.embed_dim, self.encoder.rate, self.encoder.step_samples
        build = {"cchunk": lambda worker: WaveformWorker(worker, dim), "spc": lambda worker: OrderWorker(worker, dim),
                 "cpc": lambda worker: FutureWorker(worker, dim), "mi": lambda worker: PairWorker(worker, dim),
                 "cmi": lambda worker: PairWorker(worker, dim)}
        self.workers = nn.ModuleDict({
            worker.name: build[worker.name](worker) if worker.name in build
            else RegressionWorker(worker, dim, rate, hop, config.statistics_batches) for worker in config.workers})

    def encoders(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder}

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        views = batch.views[0]
        heard, clean = views[0], wide(views[-1])
        crops = [heard, *(view[0] for view in batch.views[1:])]
        frames, *further = self.encoder.frames(torch.cat(crops)).split(len(heard))
        if min(frames.shape[1], clean.shape[1] // self.encoder.step_samples) < 1:
            raise InputError(f"a crop of {clean.shape[1]} samples is shorter than one step; leave short recordings out with "
                             "data.min_seconds.")
        generator = torch.Generator().manual_seed(hash((progress.draw, PURPOSE)) % 2 ** 63)
        other = of_another(further[0], generator) if further else None
        out, total = {}, 0.0
        for worker in self.config.workers:
            name, network = worker.name, self.workers[worker.name]
            if name in ("mi", "cmi"):
                loss, out[f"accuracy_{name}"] = network(frames, further[0], other)
            elif name == "cpc":
                loss, out[f"accuracy_{name}"] = network(frames)
            elif name == "spc":
                loss, out[f"accuracy_{name}"] = network(frames, progress.draw)
            else:
                loss = network(frames, clean)
            out[f"loss_{name}"] = loss.detach()
            total = total + worker.weight * loss
        if progress.log:
            out["effective_rank"] = effective_rank(frames.detach().mean(1))
        return {"loss": total, **out}
