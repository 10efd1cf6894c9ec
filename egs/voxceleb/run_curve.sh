#!/usr/bin/env bash
# EER against the step, for finished trainings: scores the checkpoints that they kept, writes exp/CURVE.md and exp/curve.png.
#   ./run.sh --system dino_ecapa ... --set train.keep=20      train.keep says how many checkpoints stay, train.save_every how far apart
#   ./run_curve.sh exp/dino_ecapa exp/simclr_ecapa
# Finished parts are kept: the same command resumes. To watch a training that still runs, see train.eval_list in docs/recipes.md.
set -euo pipefail
list=veri_test2     # a trial list of data/voxceleb1_test
data=data           # where stage 0 of run.sh wrote
out=exp/curve       # gets the embeddings and scores of each checkpoint; the table and the picture are beside it
ngpu=0              # GPUs for extraction; 0: CPU
nj=2                # parallel jobs
cmd=                # where jobs run; empty: as cmd.sh says
help_message="usage: $0 [--list NAME] [--data DIR] [--out DIR] [--ngpu N] [--nj N] EXP..."
. "$(dirname "$0")/path.sh"
. ./cmd.sh
. utils/parse_options.sh
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -gt 0 ] || { echo "$help_message" >&2; exit 1; }
[ -z "$cmd" ] || train_cmd=$cmd cuda_cmd=$cmd
for exp in "$@"; do
  [ -s "$exp/final.pt" ] || die "there is no $exp/final.pt; train that system to the end, or check its name"
done

score() {   # MODEL WEIGHTS VAD: of a checkpoint's folder, or of the training's own
  local name
  name=$(basename "$1")
  local/extract_system.sh --cuda-cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" --vad "$3" --weights "$2" --from "$1" "$out/$name" \
    "$data/voxceleb1_test"
  local/score_system.sh --cmd "$train_cmd" --lists "$list" --weights "$2" "$data" "$out/$name"
}
for exp in "$@"; do
  said=$(python3 -m sslspk.bin.show_config --conf "$exp/config.yaml" --weights vad)
  { read -r weights; read -r vad; } <<< "$said"
  score "$exp" "${weights%% *} untrained" "$vad"
  models=$(local/checkpoint_models.py "$exp")
  while IFS= read -r model; do
    [ -z "$model" ] || score "$model" "${weights%% *}" "$vad"
  done <<< "$models"
done
local/show_curve.py --list "$list" --out "$(dirname "$out")/CURVE.md" --plot "$(dirname "$out")/curve.png" "$out" "${@##*/}"
