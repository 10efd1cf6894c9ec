"""Kaldi's energy-based voice activity detection (numpy)."""
import numpy as np

from sslspk.features.config import VadOptions


def compute_vad(log_energy: np.ndarray, options: VadOptions) -> np.ndarray:
    """(T,) log energies of the frames -> (T,) float32, 1 where voiced.

    The threshold is vad_energy_threshold + vad_energy_mean_scale times the mean log energy; a frame is voiced when at least
    vad_proportion_threshold of the frames within vad_frames_context of it (itself included) lie above the threshold.
    """
    energy = np.asarray(log_energy, np.float32)
    if not len(energy):
        return np.zeros(0, np.float32)
    # Threshold and share are compared in single precision, as Kaldi does: 3 of 5 frames are a share of 0.6.
    threshold = options.vad_energy_threshold + options.vad_energy_mean_scale * energy.mean(dtype=np.float64)
    loud = energy > np.float32(threshold)
    sums = np.concatenate([[0], np.cumsum(loud)])
    place, context = np.arange(len(energy)), options.vad_frames_context
    begin, end = np.maximum(place - context, 0), np.minimum(place + context + 1, len(energy))
    needed = (end - begin).astype(np.float32) * np.float32(options.vad_proportion_threshold)
    return (sums[end] - sums[begin] >= needed).astype(np.float32)
