#!/usr/bin/env bash
# Trains the total variability of an i-vector system: reads DATA/{feats,vad}.scp and UBM_DIR, writes EXP/{final.npz,config.yaml};
# resumes from the last iteration.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4                     # parallel jobs for the statistics, cores for the training; the result does not depend on them
conf=conf/ivector_mfcc.yaml   # YAML with dimensions and iterations; the rest is the UBM's
set=()                   # KEY=VALUE, overrides the conf, e.g. --set ivector_dim=100
keep_stats=false         # true: leave EXP/stats on disk, 0.6 MB an utterance at 2048 Gaussians
help_message="usage: $0 [--cmd C] [--nj N] [--conf conf/ivector_mfcc.yaml] [--set k=v]... DATA UBM_DIR EXP"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
data=$1 ubm=$2 exp=$3

die() { echo "$0: error: $*" >&2; exit 1; }
[ -f "$conf" ] || die "there is no configuration $conf; check --conf."
[ -f "$data/feats.scp" ] || die "$data has no feats.scp; run steps/make_feats.sh --conf conf/mfcc_ivector.yaml on it."
[ -f "$data/vad.scp" ] || die "$data has no vad.scp; run steps/compute_vad.sh on it."
[ -s "$ubm/final.npz" ] || die "there is no $ubm/final.npz; run steps/train_ubm.sh."
key="train_ivector $(done_conf "$conf") ${set[*]+${set[*]@Q}}" inputs=("$data"/{feats,vad}.scp "$ubm/final.npz")
if done_skip "$exp" "$key" "${inputs[@]}" -- "$exp/final.npz"; then echo "$0: $exp is up to date, skipped"; exit 0; fi
"$SSLSPK_ROOT"/utils/validate_data_dir.sh --no-wav "$data"
options=(--conf "$conf")
for item in ${set[@]+"${set[@]}"}; do options+=("--set=$item"); done
total=$(wc -l < "$data/feats.scp")
jobs=$((nj < total ? nj : total))

mkdir -p "$exp/log"
stats=$exp/stats
if done_skip "$stats" "$key $jobs" "${inputs[@]}"; then echo "$0: $stats is up to date, skipped"; else
  rm -rf "$stats"
  mkdir -p "$stats"
  "$SSLSPK_ROOT"/utils/split_data.sh --work "$stats" "$data" "$jobs"   # DATA is only read
  launch "$cmd" JOB=1:"$jobs" "$exp/log/stats.$JOB.log" OMP_NUM_THREADS=1 python3 -m sslspk.bin.train_ivector stats "${options[@]}" \
    "$data" "$stats/split$jobs/$JOB" "$ubm" "$stats/$JOB"
  done_mark "$stats" "$key $jobs" "${inputs[@]}"
fi
export SSLSPK_FOLLOW="*"   # the launcher shows the newest line of the log
launch "$cmd" --num-threads "$nj" "$exp/log/train_ivector.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.train_ivector em "${options[@]}" \
  --nj "$nj" --jobs "$jobs" "$data" "$ubm" "$stats/JOB" "$exp"
[ -s "$exp/final.npz" ] || die "$exp/final.npz was not written; see $exp/log, then run the same command again."
[ "$keep_stats" = true ] || rm -rf "$stats"
done_mark "$exp" "$key" "${inputs[@]}"
grep "log likelihood" "$exp/log/train_ivector.log" | tail -n 1
echo "$0: wrote $exp/final.npz"
