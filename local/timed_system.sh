#!/usr/bin/env bash
# Trains one system, and the systems that it starts from, for a given CPU time in all, and scores lists with it: reads TRAIN (packed audio)
# and DATA, writes EXPS/SYSTEM for each of them. Each of n trainings gets an n-th of the time.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
cuda_cmd=utils/run.pl  # how jobs on a GPU are started, as --cmd
nj=4               # number of parallel jobs
ngpu=0             # number of GPUs; 0: CPU
conf=              # YAML of the system; must be given
minutes=0          # minutes of CPU time for the training; 0: the steps of the confs
seed=0             # seed of the training
part=              # suffix of the experiments that says what they are trained on, e.g. _spk85
tag=               # suffix of the experiment's name, not of those before it
scale=false        # true: sizes that confs of small systems give for 1,900 utterances are made those of TRAIN (see below)
set=()             # KEY=VALUE for the system
lists=veri_test2   # names of the lists; their utterances are in DATA/NAME
asnorm=            # YAML of the cohort: AS-norm as well; empty: none
help_message="usage: $0 [--cmd C] [--cuda-cmd C] [--nj N] [--ngpu N] --conf conf/X.yaml [--minutes M] [--seed N] [--part P] [--tag T]
       [--scale true] [--set k=v]... [--lists 'L ...'] [--asnorm conf/cohort.yaml] TRAIN DATA EXPS"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh; set -f   # what is in a list of names is no pattern
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
die() { echo "$0: error: $*" >&2; exit 1; }
train=$1 data=$2 exps=$3
[[ $minutes =~ ^[0-9]{1,5}([.][0-9]{1,3})?$ ]] || die "--minutes takes a number, not '${minutes:0:40}'"

said=$(python3 -m sslspk.bin.show_config --conf "$conf" --weights --chain vad)
{ read -r weights; read -r chain; read -r vad; } <<< "$said"
[ "$vad" = false ] || die "$conf cuts silence (vad: true), and $train does not; use --set vad=false in a copy of it"
read -ra before <<< "$chain"
common=(--common data.input=wave --common "seed=$seed") own=() time='' shared='' suffix=''
[ "$seed" = 0 ] || suffix=_seed$seed
if [ "$minutes" != 0 ]; then
  share=$(awk -v m="$minutes" -v n=$((${#before[@]} + 1)) 'BEGIN { printf "%.4g", m / n }')
  common+=(--common "train.cpu_minutes=$share" --common data.workers=0) time=_${minutes}min shared=_${share}min
fi
[ ! -f "$data/augment/.done" ] || common+=(--common "augment.dir=$data/augment")
utts=$(wc -l < "$train/utt2spk") system=$(basename "$conf" .yaml)
# What warms up does so in as many steps, not epochs. Of SSPS half as many clusters as TRAIN has utterances, and a queue of all of them.
[ "$scale" = false ] || common+=(--common train.warmup_steps=50)
if [ "$scale" = true ] && [[ $system = supervised_* ]]; then
  own+=(--set "method.margin_warmup_epochs=$(awk -v n="$utts" 'BEGIN { printf "%.2f", 5 * 1900 / n }')")
fi
if [ "$scale" = true ] && [[ $system = ssps_* ]]; then own+=(--set "method.positives.clusters=$((utts / 2))"); fi
if [ "$scale" = true ] && [[ $system = ssps_* || $system = oracle_* ]]; then own+=(--set "method.positives.queue_size=$utts"); fi
for item in ${set[@]+"${set[@]}"}; do own+=(--set "$item"); done

exp=$exps/$system$part$time${tag:+_$tag}$suffix jobs=(--cuda-cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu") tests=()
for list in $lists; do
  trials=$(local/find_trials.sh "$data" "$list")
  [[ " ${tests[*]} " == *" $(dirname "$trials") "* ]] || tests+=("$(dirname "$trials")")
done
local/train_system.sh --cuda-cmd "$cuda_cmd" --ngpu "$ngpu" --conf "$conf" --chain "$chain" "${common[@]}" "${own[@]}" \
  --part "$part$shared$suffix" "$train" "$exp"
local/extract_system.sh "${jobs[@]}" --weights "$weights" "$exp" "${tests[@]}"
local/score_system.sh --cmd "$cmd" --lists "$lists" --weights "$weights" "$data" "$exp"
[ -z "$asnorm" ] ||
  local/score_backends.sh --cmd "$cmd" "${jobs[@]}" --cohort "$asnorm" --only asnorm --lists "$lists" "$train" "$data" "$exp"
