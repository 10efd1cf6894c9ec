#!/usr/bin/env bash
# Rounds of training on pseudo-labels: embeds DATA with the newest model, clusters, trains on the clusters, N times over; reads
# EXP/final.pt, writes EXP_round1 ... EXP_roundN and, with --large-margin, EXP_large_margin, and names these in EXP/rounds.list. Killed at
# any moment, goes on there.
set -euo pipefail
cuda_cmd=utils/run.pl
nj=4
ngpu=0
nodes=1            # machines for each training
requeue=false      # true: a training that the scheduler stops goes back into the queue
rounds=1           # how many
conf=conf/rounds/pseudo.yaml   # how a round is trained; laid on EXP/config.yaml
cluster=conf/cluster.yaml      # how the embeddings are clustered
gates=             # fixed loss gates of the rounds, e.g. 1,3,3,5,6; the last one holds for all later rounds
first_clusters=    # labels of the first round, as steps/cluster.sh writes them (of i-vectors, say); empty: EXP's own embeddings
tag=               # suffix of the rounds' names, for variants: EXP_TAG_round1
large_margin=      # conf of a last training with a large margin on the labels of the last round; empty: none
help_message="usage: $0 [--cuda-cmd C] [--nj N] [--ngpu N] [--rounds N] [--conf conf/rounds/X.yaml] [--cluster conf/cluster.yaml]
       [--gates G1,G2,...] [--large-margin conf/rounds/X.yaml] [--tag T]
       [--first-clusters DIR] DATA EXP"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
data=$1 exp=$2

die() { echo "$0: error: $*" >&2; exit 1; }
[[ $rounds =~ ^[1-9][0-9]{0,3}$ ]] || die "--rounds takes a whole number from 1 to 9999, not '${rounds:0:40}'."
for file in "$conf" "$cluster" ${large_margin:+"$large_margin"}; do
  [ -f "$file" ] || die "there is no configuration $file; check its name."
done
[ -s "$exp/final.pt" ] || die "there is no $exp/final.pt; train the system first (stage 3 of run.sh)."

train_on_labels() {   # CONF BASE FROM DATA OUT [--set k=v ...]: trains CONF laid on BASE's configuration, from FROM's encoder
  mkdir -p "$5"
  python3 -m sslspk.bin.show_config --on "$2/config.yaml" --conf "$1" "${@:6}" > "$5/.conf.yaml"
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" --nodes "$nodes" --requeue "$requeue" --conf "$5/.conf.yaml" \
    --init-from "$3/final.pt" "$4" "$5"
}

before=$exp made=()
IFS=, read -ra gate <<< "$gates"
for round in $(seq "$rounds"); do
  now=$exp${tag:+_$tag}_round$round clusters=$before/clusters
  labelled=${data}_$(basename "$now")
  if [ "$round" -eq 1 ] && [ -n "$first_clusters" ]; then clusters=$first_clusters; else
    weights=$(python3 -m sslspk.bin.show_config --conf "$before/config.yaml" --weights)   # the first is the system's own choice
    emb=$before/emb_${weights%% *}/$(basename "$data")
    steps/extract_embeddings.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" --weights "${weights%% *}" "$data" "$before" "$emb"
    steps/cluster.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu $((ngpu > 0)) --conf "$cluster" --truth "$data/utt2spk" "$emb" "$clusters"
  fi
  utils/relabel_data_dir.sh "$data" "$clusters" "$labelled"
  options=() last=$((${#gate[@]} - 1))
  [ $last -lt 0 ] || options=(--set method.gate.kind=fixed --set "method.gate.threshold=${gate[round <= last ? round - 1 : last]}")
  train_on_labels "$conf" "$exp" "$before" "$labelled" "$now" "${options[@]}"
  before=$now made+=("$now")
done
if [ -n "$large_margin" ]; then
  made+=("$exp${tag:+_$tag}_large_margin")
  train_on_labels "$large_margin" "$before" "$before" "$labelled" "${made[-1]}"
fi
printf '%s\n' "${made[@]}" > "$exp/rounds.list"
