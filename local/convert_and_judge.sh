#!/usr/bin/env bash
# Converts recordings of TEST to the voices of other test speakers by each system, and judges them by a verification model: writes
# EXP/converted,
# EXP/plain (the same sources in their own voices), EXP/conversion/{result.json,examples.png}.
set -euo pipefail
train_cmd=utils/run.pl  # how jobs are started on the CPU: utils/run.pl, utils/queue.pl or utils/slurm.pl
cuda_cmd=utils/run.pl  # how jobs on a GPU are started
nj=4               # number of parallel jobs
ngpu=0             # number of GPUs; 0: CPU
judge=             # final.pt of the verification model; empty: one is trained on DEV into JUDGE (conf/judge.yaml)
num_pairs=200      # number of conversions, each of a recording to a target speaker, drawn at random
seed=0             # seed of the random choice of pairs
judge_set=()       # KEY=VALUE, overrides of its training
feats=             # folder with feats.scp of TEST, for pictures of the first conversions; empty: none
augment=           # noises for the training of the judge, where that folder is there
help_message="usage: $0 [--judge MODEL] [--num-pairs N] [--seed N] [--augment DIR] DEV TEST TRIALS JUDGE EXP..."
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh; set -f   # what is in a list of names is no pattern
[ $# -ge 5 ] || { echo "$help_message" >&2; exit 1; }
dev=$1 test=$2 trials=$3 out=$4

noise=(); [ ! -f "$augment/.done" ] || noise=(--set "augment.dir=$augment")
if [ -z "$judge" ]; then
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" --conf conf/judge.yaml "${noise[@]}" "${judge_set[@]/#/--set=}" "$dev" "$out"
  judge=$out/final.pt
fi
mkdir -p "$out"
embed() { steps/extract_embeddings.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" "$1" "$judge" "$2"; }
embed "$test" "$out/emb"
steps/score.sh --cmd "$train_cmd" --utt2spk "$test/utt2spk" "$trials" "$out/emb" "$out/emb" "$out/scores"
pairs=$out/pairs
python3 local/draw_pairs.py --num-pairs "$num_pairs" --seed "$seed" "$test/utt2spk" "$pairs"

for exp in "${@:5}"; do
  for kind in converted plain; do
    identity=false; [ $kind = converted ] || identity=true
    steps/convert.sh --cmd "$train_cmd" --pairs "$pairs" --identity $identity "$test" "$exp" "$exp/$kind"
    embed "$exp/$kind" "$exp/${kind}_emb"
  done
  python3 local/judge_conversion.py --utt2spk "$test/utt2spk" --trials "$trials" --scores "$out/scores/scores_$(basename "$trials")" \
    --data "$exp/converted" --plain "$exp/plain_emb" "$out/emb" "$exp/converted_emb" "$exp/conversion"
  [ -z "$feats" ] || python3 local/draw_conversions.py "$feats" "$exp/converted" "$exp/conversion/examples.png"
done
