"""From a batch as the loader yields it to what the encoder reads: augmentation, features, CMN and SpecAugment on the device."""
import torch
from torch import Tensor, nn

from sslspk.features import cmvn, specaug
from sslspk.features.augment import WaveAugment
from sslspk.features.config import CmvnOptions, FeatureOptions
from sslspk.features.fbank import Extractor


class FrontEnd(nn.Module):
    """forward(crop) -> (V, B, T, F) float32; whole(wave) -> (1, T, F) for one recording, the same features without noise."""

    def __init__(self, features: FeatureOptions, normalise: CmvnOptions, augment: nn.Module | None = None,
                 masks: "specaug.SpecAugmentConfig | None" = None):
        super().__init__()
        self.extractor, self.normalise, self.augment, self.masks = Extractor(features), normalise, augment, masks

    @torch.no_grad()
    def forward(self, crop: dict[str, Tensor]) -> Tensor:
        if "feats" in crop:
            lead, x = crop["feats"].shape[:2], crop["feats"].flatten(0, 1)
        else:
            lead, x = crop["wave"].shape[:2], crop["wave"].flatten(0, 1).float()
            if self.augment is not None and "snr_db" in crop:
                x = self.augment(x, **{k: v.flatten(0, 1) for k, v in crop.items() if k not in ("wave", "masks")})
            x = self.extractor(x)
        x = cmvn.apply(x, self.normalise)
        if "masks" in crop:
            x = specaug.apply(x, crop["masks"].flatten(0, 1))
        return x.unflatten(0, lead)

    @torch.no_grad()
    def whole(self, wave: Tensor) -> Tensor:
        """Features of one whole recording: (S,) samples on the int16 scale -> (1, T, F)."""
        return cmvn.apply(self.extractor(wave[None].float()), self.normalise)


__all__ = ["FrontEnd", "WaveAugment"]
