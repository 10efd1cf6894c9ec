#!/usr/bin/env bash
# Extracts one embedding per utterance of DATA, by a model of this toolkit or by a frame-level model pooled over time; writes
# OUT/xvector.scp.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=2               # number of parallel jobs
ngpu=0             # number of GPUs; 0: CPU
model=             # final.pt, or "ARCH CHECKPOINT" as steps/extract_frame_model.sh takes it
layer=             # a layer inside the encoder, by name; of "ARCH CHECKPOINT" its number; empty: embedding, or mean of layers
untrained=false    # true: the model with its initial weights, a baseline
help_message="usage: $0 [--cmd C] [--nj N] [--ngpu N] --model M [--untrained true] [--layer L] DATA OUT"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
. utils/models.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
data=$1 out=$2

jobs=(--cmd "$cmd" --nj "$nj" --ngpu "$ngpu")
[ -n "$model" ] || { echo "$0: error: --model is needed; see --help." >&2; exit 1; }
if model_pair "$model" && ! model_embeds "$model"; then
  weights=${model#* }; [ "$untrained" = false ] || weights=random
  steps/extract_frame_model.sh "${jobs[@]}" --layer "${layer:-mean}" "${model%% *}" "$weights" "$data" "$out"
else
  steps/extract_embeddings.sh "${jobs[@]}" --layer "$layer" --untrained "$untrained" "$data" "$model" "$out"
fi
