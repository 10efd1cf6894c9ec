#!/usr/bin/env bash
# Clusters embeddings into pseudo-speakers: reads EMB_DIR/xvector.scp, writes OUT/{utt2spk,spk2utt,info.json}.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4                     # number of CPU cores
ngpu=0                   # 1: k-means on a GPU
conf=conf/cluster.yaml   # YAML of the clustering
set=()                   # KEY=VALUE, overrides the conf, e.g. --set clusters=100
truth=                   # utt2spk of the true speakers: adds OUT/report.json (purity, NMI), which has no part in the clusters
model=                   # plda_ahc: directory of a trained PLDA; empty: one is trained on the clusters of the first stage
max_gb=                  # GB (10^9 bytes) that the distances may take; empty: what is free
help_message="usage: $0 [--cmd C] [--nj N] [--ngpu 0|1] [--conf conf/cluster.yaml] [--set k=v]... [--truth UTT2SPK] [--model DIR]
       [--max-gb GB] EMB_DIR OUT"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
emb=$1 out=$2

die() { echo "$0: error: $*" >&2; exit 1; }
[ -f "$conf" ] || die "there is no configuration $conf; check --conf."
inputs=("$emb/xvector.scp")
[ -z "$truth" ] || inputs+=("$truth")
[ -z "$model" ] || inputs+=("$model/transform.mat")
for file in "${inputs[@]}"; do
  [ -s "$file" ] || die "there is no $file, or it is empty; run the stage that makes it."
done
[ -z "$model" ] || inputs+=("$model")
[ ! -f "$emb/provenance.json" ] || inputs+=("$emb/provenance.json")
outputs=("$out"/{utt2spk,spk2utt,info.json} ${truth:+"$out/report.json"})
key="cluster $(done_conf "$conf") ${set[*]+${set[*]@Q}} $truth $model"
if done_skip "$out" "$key" "${inputs[@]}" -- "${outputs[@]}"; then
  echo "$0: $out is up to date, skipped"
  exit 0
fi
options=(--conf "$conf")
for item in ${set[@]+"${set[@]}"}; do options+=("--set=$item"); done
for option in truth model; do [ -z "${!option}" ] || options+=("--$option" "${!option}"); done
[ -z "$max_gb" ] || options+=(--max-gb "$max_gb")
[ "$ngpu" -eq 0 ] || options+=(--gpu 0)

mkdir -p "$out/log"
log=$out/log/cluster.log
launch "$cmd" --num-threads "$nj" --gpu "$((ngpu > 0))" "$log" OMP_NUM_THREADS="$nj" python3 -m sslspk.bin.cluster "${options[@]}" "$emb" "$out"
total=$(wc -l < "$emb/xvector.scp")
got=$(wc -l < "$out/utt2spk")
left=$(sed -n 's/^ *"left_out": \([0-9]*\),$/\1/p' "$out/info.json")
[ $((got + left)) -eq "$total" ] || die "$out/utt2spk has $got utterances and $left were left out, of $total; see $log, then run it again."
done_mark "$out" "$key" "${inputs[@]}"
grep -E '^(clusters|purity|note):' "$log"
echo "$0: wrote $out/utt2spk"
