"""Options of the i-vector system: flat, Kaldi's egs/voxceleb/v1 as defaults (torch-free)."""
from pydantic import Field, PositiveFloat, PositiveInt

from sslspk.config import Config, Few, Size

# keys on which the UBM does not depend
EXTRACTOR_KEYS = {"ivector_dim", "iterations", "max_utterances"}


class IvectorConfig(Config):
    """Frames, UBM, statistics and total variability. The cepstra themselves are those of conf/mfcc_ivector.yaml."""

    seed: int = Field(0, ge=0, lt=2**32)
    delta_order: int = Field(2, ge=0, le=2, description="order of the deltas; 0: only cepstra; 2: with deltas and delta-deltas")
    delta_window: Few = Field(3, description="frames on each side from which deltas are computed")
    cmn_window: Size = Field(300, description="frames of the sliding window whose mean is subtracted")
    num_gaussians: Size = 2048
    ubm_frames: PositiveInt = Field(2_000_000, description="voiced frames that the UBM is trained on; they are held in memory")
    frames_per_utterance: PositiveInt = Field(100, description="largest number of these frames from one utterance")
    diagonal_iterations: PositiveInt = 10
    full_iterations: PositiveInt = 4
    variance_floor: PositiveFloat = Field(1e-3, lt=1, description="variance floor, as a share of the variance of all frames")
    top_gaussians: Size = Field(20, description="Gaussians that share a frame, chosen with their diagonals")
    min_posterior: float = Field(0.025, ge=0, lt=0.5, description="smaller shares of a frame are dropped")
    ivector_dim: Size = 400
    iterations: PositiveInt = Field(5, description="EM iterations of the total variability")
    max_utterances: PositiveInt = Field(100_000, description="the total variability is trained on this many utterances, the longest")
