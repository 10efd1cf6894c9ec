"""From a batch as the loader yields it to what the encoder reads: augmentation, features, CMN and SpecAugment on the device.

For an encoder of waveforms: augmentation alone.
"""
import torch
from torch import Tensor, nn

from sslspk.data.resident import Recordings
from sslspk.data.views import ROWS
from sslspk.features import cmvn, degrade, specaug
from sslspk.features.augment import FULL_SCALE, WaveAugment
from sslspk.features.config import CmvnOptions, FeatureOptions
from sslspk.features.config_specaug import SpecAugmentConfig
from sslspk.features.fbank import Extractor


class FrontEnd(nn.Module):
    """forward(crop) -> (V, B, T, F) float32 for training; whole(wave) -> (1, T, F) of one recording, the same without noise.

    waveform: instead, (V, B, S) and (1, S), float32 samples in -1 to 1. recordings: noises and rooms, if they are on the device.
    """

    def __init__(self, features: FeatureOptions, normalise: CmvnOptions, masks: SpecAugmentConfig | None = None, waveform: bool = False,
                 recordings: Recordings | None = None):
        super().__init__()
        self.waveform, self.recordings = waveform, recordings
        self.extractor, self.augment, self.normalise, self.masks = Extractor(features), WaveAugment(), normalise, masks

    @torch.no_grad()
    def forward(self, crop: dict[str, Tensor]) -> Tensor:
        """crop: one entry of a batch's `crops` (sslspk.data.dataset), on this module's device."""
        views, batch = next(iter(crop.values())).shape[:2]
        crop = {key: value if key in ROWS else value.flatten(0, 1) for key, value in crop.items()}
        positions = crop.pop("masks", None)
        x = cmvn.apply(crop["feats"], self.normalise) if "feats" in crop else self._read(self._waves(crop))
        if positions is not None:
            x = specaug.apply(x, positions, self.masks.fill, self.masks.shape)
        return x.unflatten(0, (views, batch))

    def _read(self, wave: Tensor) -> Tensor:
        """(B, S) samples on the int16 scale -> (B, T, F), or (B, S)."""
        return wave / FULL_SCALE if self.waveform else cmvn.apply(self.extractor(wave), self.normalise)

    def _waves(self, crop: dict[str, Tensor]) -> Tensor:
        wave, shares = crop.pop("wave").float(), crop.pop("degrade", None)
        crop = self.recordings.heard(crop, wave.shape[1]) if self.recordings else crop
        wave = self.augment(wave, **crop) if crop else wave
        return wave if shares is None else degrade.apply(wave, shares)

    @torch.no_grad()
    def whole(self, wave: Tensor) -> Tensor:
        """What the encoder reads of one whole recording: (S,) samples on the int16 scale -> (1, T, F), or (1, S)."""
        return self._read(wave[None].float())
