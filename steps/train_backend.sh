#!/usr/bin/env bash
# Trains a back-end on the embeddings of EMB_DIR: writes OUT/{mean.vec,transform.mat,plda} (Kaldi's files), backend.yaml and info.json.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
conf=               # YAML of the back-end; empty: Kaldi's for VoxCeleb (LDA 200, length normalisation, PLDA)
set=()              # KEY=VALUE, overrides the conf, e.g. --set lda_dim=100
labels=             # utt2spk of the embeddings, or of a part of them; empty: only what needs no labels (--set lda=none --set plda=none)
label_kind=speaker  # pseudo | speaker: what the labels are, as the results will say
adapt=              # trained back-end whose PLDA is adapted to EMB_DIR, without labels
help_message="usage: $0 [--cmd C] [--conf C] [--set k=v]... [--labels utt2spk] [--label-kind pseudo|speaker] [--adapt DIR] EMB_DIR OUT"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
emb=$1 out=$2

die() { echo "$0: error: $*" >&2; exit 1; }
[ -z "$conf" ] || [ -f "$conf" ] || die "there is no configuration $conf; check --conf."
inputs=("$emb/xvector.scp" ${labels:+"$labels"} ${adapt:+"$adapt/transform.mat"})
for file in "${inputs[@]}"; do
  [ -s "$file" ] || die "there is no $file, or it is empty; run the stage that makes it."
done
[ -z "$adapt" ] || inputs+=("$adapt")
find_outputs() {   # of what the last run was configured to make
  outputs=("$out"/{mean.vec,transform.mat,backend.yaml,info.json})
  grep -qs '^plda: none' "$out/backend.yaml" || outputs+=("$out/plda")
}
find_outputs
options=() text=
[ -z "$conf" ] || options+=(--conf "$conf") text=$(done_conf "$conf")
for item in ${set[@]+"${set[@]}"}; do options+=("--set=$item"); done
[ -z "$labels" ] || options+=(--labels "$labels" --label-kind "$label_kind")
[ -z "$adapt" ] || options+=(--adapt "$adapt")
key="train_backend ${options[*]@Q} $text"
done_own "$out" "$out"/{mean.vec,transform.mat,plda}   # another tool's: Kaldi's have these names
if done_skip "$out" "$key" "${inputs[@]}" -- "${outputs[@]}"; then
  echo "$0: $out is up to date, skipped"
  exit 0
fi

mkdir -p "$out/log"
log=$out/log/train_backend.log
rm -f "$out"/{mean.vec,transform.mat,plda,info.json}
launch "$cmd" "$log" python3 -m sslspk.bin.train_backend ${options[@]+"${options[@]}"} "$emb" "$out"
[ -s "$out/info.json" ] || die "$out/info.json was not written; see $log, then run the step again."
find_outputs
done_mark "$out" "$key" "${inputs[@]}" -- "${outputs[@]}"
grep -E 'dimensions kept|^note:|^adapted' "$log"
echo "$0: wrote $out"
