"""The i-vector baseline: a Gaussian mixture of all speech (UBM), and a factor analysis of its means. It uses no labels and no torch.

Dehak et al., "Front-end factor analysis for speaker verification", IEEE TASLP 19(4), 2011 (the model); Kenny et al., "Eigenvoice
modeling with sparse training data", IEEE TSAP 13(3), 2005 (its EM); Kenny, "A small footprint i-vector extractor", Odyssey 2012
(minimum divergence); Glembek et al., "Simplification and optimization of i-vector extraction", ICASSP 2011 (packed precisions).
Shapes: T frames, D dimensions of a frame, C Gaussians, U utterances, R dimensions of the i-vector.
"""
