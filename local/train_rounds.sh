#!/usr/bin/env bash
# Rounds of training on pseudo-labels. N times: embeds DATA with the best model so far, clusters the embeddings, and trains on the clusters.
# Reads
# EXP/final.pt, writes EXP_round1 ... EXP_roundN and, with --large-margin, EXP_large_margin, and names these in EXP/rounds.list. Each is
# judged without labels, on recordings that none is trained on (verdict/verdict.json in its folder). A refused round is the last one;
# EXP/rounds.best names the best model. After any interruption the same command resumes.
set -euo pipefail
cuda_cmd=utils/run.pl  # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4               # number of parallel jobs
ngpu=0             # number of GPUs; 0: CPU
nodes=1            # machines for each training
requeue=false      # true: a training that the scheduler stops goes back into the queue
rounds=1           # number of rounds
conf=conf/rounds/pseudo.yaml   # how a round is trained; laid on EXP/config.yaml
cluster=conf/cluster.yaml      # how the embeddings are clustered
gates=             # fixed loss gates of the rounds, e.g. 1,3,3,5,6; the last one holds for all later rounds
first_clusters=    # labels of the first round, as steps/cluster.sh writes them (of i-vectors, say); empty: EXP's own embeddings
ivectors=          # conf of i-vectors, such as conf/ivector_mfcc.yaml, whose clusters are the labels of the first round
start=             # the first round goes on from this model, whose encoder --conf says, in place of EXP: final.pt or ARCH=CHECKPOINT
heldout=0.05       # share of the recordings that rounds are judged by and not trained on, 1000 at most; 0: every round is taken
tag=               # suffix of the rounds' names, for variants: EXP_TAG_round1
large_margin=      # conf of a last training with a large margin on the labels of the best round; empty: none
help_message="usage: $0 [--cuda-cmd C] [--nj N] [--ngpu N] [--rounds N] [--conf conf/rounds/X.yaml] [--cluster conf/cluster.yaml]
       [--gates G1,G2,...] [--large-margin conf/rounds/X.yaml] [--tag T]
       [--first-clusters DIR | --ivectors conf/ivector_X.yaml] [--start MODEL] [--heldout SHARE] DATA EXP"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
. utils/models.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
data=$1 exp=$2

die() { echo "$0: error: $*" >&2; exit 1; }
[[ $rounds =~ ^[1-9][0-9]{0,3}$ ]] || die "--rounds takes a whole number from 1 to 9999, not '${rounds:0:40}'."
[[ $heldout =~ ^(0|0?\.[0-9]{1,6})$ ]] || die "--heldout takes a share from 0 to 1, such as 0.05, not '${heldout:0:40}'."
[ -z "$first_clusters" ] || [ -z "$ivectors" ] || die "--first-clusters and --ivectors are two kinds of first labels; give one."
for file in "$conf" "$cluster" ${large_margin:+"$large_margin"} ${ivectors:+"$ivectors"}; do
  [ -f "$file" ] || die "there is no configuration $file; check its name."
done
[ -s "$exp/final.pt" ] || die "there is no $exp/final.pt; train the system first (stage 3 of run.sh)."

[[ ! $start =~ ^([a-z0-9_]+)=(.+)$ ]] || start="${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
model_require "$start"

train_on_labels() {   # CONF BASE MODEL DATA OUT [--set k=v ...]: trains CONF laid on BASE's configuration, from MODEL's encoder
  mkdir -p "$5"
  python3 -m sslspk.bin.show_config --on "$2/config.yaml" --conf "$1" "${@:6}" > "$5/.conf.yaml"
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" --nodes "$nodes" --requeue "$requeue" --conf "$5/.conf.yaml" \
    --init-from "$3" "$4" "$5"
}

best=$exp made=() accepted=true
IFS=, read -ra gate <<< "$gates"
hold_out() {   # makes the data directory of the held-out recordings, and that of two crops of each
  local count
  count=$(wc -l < "$data/utt2spk")
  count=$(awk -v n="$count" -v share="$heldout" 'BEGIN { n = int(n * share + 0.5); print (n < 2 ? 2 : n > 1000 ? 1000 : n) }')
  held=${data}_heldout_$count
  utils/subset_data_dir.sh --random "$data" "$count" "$held"
  utils/cut_data_dir.sh --ends 3 "$held" "${held}_crops"
}
embed() {   # MODEL DATA: sets emb, the embeddings by the encoder that the model's configuration says to evaluate
  local weights
  weights=$(python3 -m sslspk.bin.show_config --conf "$1/config.yaml" --weights)
  emb=$1/emb_${weights%% *}/$(basename "$2")
  steps/extract_embeddings.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" --weights "${weights%% *}" "$2" "$1" "$emb"
}
judge() {   # MODEL: is it the best so far? Sets accepted, and best
  made+=("$1")
  if [ "$heldout" != 0 ]; then
    embed "$best" "${held}_crops"; local before=$emb
    embed "$1" "${held}_crops"
    steps/judge_round.sh --cmd "$cuda_cmd --gpu 0" "${held}_crops/utt2spk" "$before" "$emb" "$1/verdict"
    grep -q '"accepted": true' "$1/verdict/verdict.json" || accepted=false
  fi
  [ "$accepted" = false ] || best=$1
}

[ "$heldout" = 0 ] || hold_out
if [ -n "$ivectors" ]; then
  trained=$(dirname "$exp")/$(basename "$ivectors" .yaml)_$(basename "$data") first_clusters=$exp/clusters_ivector
  local/ivector_system.sh --cmd "$cuda_cmd --gpu 0" --nj "$nj" --conf "$ivectors" "$data" "$trained"
  steps/cluster.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu $((ngpu > 0)) --conf "$cluster" --truth "$data/utt2spk" \
    "$trained/emb_ivector/$(basename "$data")" "$first_clusters"
fi
for round in $(seq "$rounds"); do
  now=$exp${tag:+_$tag}_round$round clusters=$best/clusters
  if [ "$round" -eq 1 ] && [ -n "$first_clusters" ]; then clusters=$first_clusters; else
    embed "$best" "$data"
    steps/cluster.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu $((ngpu > 0)) --conf "$cluster" --truth "$data/utt2spk" "$emb" "$clusters"
  fi
  if [ "$heldout" != 0 ]; then
    mkdir -p "$now/labels"
    cp "$clusters/info.json" "$now/labels"
    awk 'NR == FNR { held[$1]; next } !($1 in held)' "$held/utt2spk" "$clusters/utt2spk" > "$now/labels/utt2spk"
    clusters=$now/labels
  fi
  utils/relabel_data_dir.sh "$data" "$clusters" "${data}_$(basename "$now")"
  options=() last=$((${#gate[@]} - 1))
  [ $last -lt 0 ] || options=(--set method.gate.kind=fixed --set "method.gate.threshold=${gate[round <= last ? round - 1 : last]}")
  from=$best/final.pt; [ "$round" -gt 1 ] || from=${start:-$from}
  train_on_labels "$conf" "$exp" "$from" "${data}_$(basename "$now")" "$now" "${options[@]}"
  judge "$now"
  if [ "$accepted" = false ]; then
    [ "$round" -eq "$rounds" ] || echo "$0: round $round was refused, so $((rounds - round)) more are not trained; change --round-options."
    break
  fi
done
if [ -n "$large_margin" ] && [ "$best" = "$exp" ]; then
  echo "$0: no round was accepted, so none goes on with a large margin."
elif [ -n "$large_margin" ]; then
  last=$exp${tag:+_$tag}_large_margin
  train_on_labels "$large_margin" "$best" "$best/final.pt" "${data}_$(basename "$best")" "$last"
  accepted=true
  judge "$last"
fi
printf '%s\n' "${made[@]}" > "$exp/rounds.list"
printf '%s\n' "$best" > "$exp/rounds.best"
echo "$0: the best model is $best"
