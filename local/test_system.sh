#!/usr/bin/env bash
# Scores a trained system on a user's data directory DIR, which is only read: reads EXP/final.pt (or final.npz) and DIR; writes
# DATA/own_NAME, DATA/own_NAME_packed, EXP/emb_W/own_NAME_packed, EXP/scores_W*/result_trials_own_NAME.json and EXPS/RESULTS_own_NAME.md.
# NAME is that of DIR and of the list. No training data is read; back-ends in EXP (stage 6, --backends true) are used as well.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
cuda_cmd=utils/run.pl  # how jobs on a GPU are started, as --cmd
nj=4               # number of parallel jobs
ngpu=0             # number of GPUs; 0: CPU
trials=            # trial list; empty: one is drawn from DIR/utt2spk
channel=first      # channel to take of several: first, a number from 0 on, or mix
help_message="usage: $0 [--cmd C] [--cuda-cmd C] [--nj N] [--ngpu N] [--trials LIST] [--channel C] DIR DATA EXP"
. "$(dirname "$0")/../utils/environment.sh"
. utils/models.sh
. utils/parse_options.sh; set -f   # what is in a list of names is no pattern
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
dir=$1 data=$2 exp=$3

die() { echo "$0: error: $*" >&2; exit 1; }
[ -n "$dir" ] || die "--trials is the list of --test DIR; give both, or a list of the corpus with --lists"
[ -f "$dir/wav.scp" ] || die "--test '$dir' holds no wav.scp; give a data directory (local/prepare_own.py makes one of a folder or a CSV)"
[ -z "$trials" ] || [ -s "$trials" ] || die "there is no list $trials, or it is empty; correct --trials"
model=$(model_file "$exp") vad=false weights=ivector
[ -s "$model" ] || die "there is no model $exp; train it first: the same command without --test, and with the corpora"
if [[ $model != *.npz ]]; then
  said=$(python3 -m sslspk.bin.show_config --conf "$exp/config.yaml" --weights vad)
  { read -r weights; read -r vad; } <<< "$said"
fi
list=own_$(basename "$(readlink -f "$dir")")${trials:+_$(basename "$trials" .txt)}
list=${list//[^[:alnum:]_.+-]/_} jobs=(--cmd "$cmd" --nj "$nj")
local/make_own_test.py ${trials:+--trials "$trials"} "$dir" "$data/$list"
local/pack_own.sh "${jobs[@]}" --channel "$channel" --vad "$vad" "$data/$list"
local/extract_system.sh --cuda-cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" --weights "$weights" "$exp" "$data/${list}_packed"
local/score_system.sh --cmd "$cmd" --lists "$list" --weights "$weights" "$data" "$exp"
[[ ! -d $exp/backend_pseudo && ! -d $exp/cohort ]] || local/apply_backends.sh --cmd "$cmd" --lists "$list" "$data" "$exp"
exps=$(dirname "$exp")
python3 local/show_table.py --list "$list" --out "$exps/RESULTS_$list.md" "$exps"
