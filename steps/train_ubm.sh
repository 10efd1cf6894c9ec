#!/usr/bin/env bash
# Trains the UBM of an i-vector system: reads DATA/{feats,vad}.scp, writes UBM_DIR/{final.npz,config.yaml}; resumes from the last iteration.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4                     # cores; the result does not depend on them
conf=conf/ivector_mfcc.yaml   # YAML with Gaussians, frames and iterations
set=()                   # KEY=VALUE, overrides the conf, e.g. --set num_gaussians=64
help_message="usage: $0 [--cmd C] [--nj N] [--conf conf/ivector_mfcc.yaml] [--set k=v]... DATA UBM_DIR"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
data=$1 out=$2

die() { echo "$0: error: $*" >&2; exit 1; }
[ -f "$conf" ] || die "there is no configuration $conf; check --conf."
[ -f "$data/feats.scp" ] || die "$data has no feats.scp; run steps/make_feats.sh --conf conf/mfcc_ivector.yaml on it."
[ -f "$data/vad.scp" ] || die "$data has no vad.scp; run steps/compute_vad.sh on it."
key="train_ubm $(done_conf "$conf") ${set[*]+${set[*]@Q}}" inputs=("$data"/{feats,vad}.scp)
if done_skip "$out" "$key" "${inputs[@]}" -- "$out/final.npz"; then echo "$0: $out is up to date, skipped"; exit 0; fi
"$SSLSPK_ROOT"/utils/validate_data_dir.sh --no-wav "$data"
options=(--conf "$conf" --nj "$nj")
for item in ${set[@]+"${set[@]}"}; do options+=("--set=$item"); done

mkdir -p "$out/log"
export SSLSPK_FOLLOW="*"   # the launcher shows the newest line of the log
launch "$cmd" --num-threads "$nj" "$out/log/train_ubm.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.train_ubm "${options[@]}" "$data" "$out"
[ -s "$out/final.npz" ] || die "$out/final.npz was not written; see $out/log, then run the same command again."
done_mark "$out" "$key" "${inputs[@]}"
grep "log likelihood" "$out/log/train_ubm.log" | tail -n 1
echo "$0: wrote $out/final.npz"
