#!/usr/bin/env bash
# Extracts one i-vector per utterance: reads DATA/{feats,vad}.scp and EXP/final.npz, writes OUTDIR/xvector.{scp,N.ark}
# and OUTDIR/provenance.json, which names the model and the data.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4   # number of parallel jobs, and of archives
help_message="usage: $0 [--cmd C] [--nj N] DATA EXP OUTDIR"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
data=$1 exp=$2 out=$3

die() { echo "$0: error: $*" >&2; exit 1; }
[ -f "$data/feats.scp" ] || die "$data has no feats.scp; run steps/make_feats.sh --conf conf/mfcc_ivector.yaml on it."
[ -f "$data/vad.scp" ] || die "$data has no vad.scp; run steps/compute_vad.sh on it."
[ -s "$exp/final.npz" ] || die "there is no $exp/final.npz; run steps/train_ivector.sh."
inputs=("$data"/{feats,vad}.scp "$exp/final.npz")
done_own "$out" "$out"/xvector.*
if done_skip "$out" extract_ivectors "${inputs[@]}" -- "$out"/{xvector.scp,provenance.json}; then
  echo "$0: $out is up to date, skipped"
  exit 0
fi
"$SSLSPK_ROOT"/utils/validate_data_dir.sh --no-wav "$data"
# An earlier run's table would point into archives that are about to change.
rm -f "$out"/xvector.*
total=$(wc -l < "$data/feats.scp")
jobs=$((nj < total ? nj : total))
"$SSLSPK_ROOT"/utils/split_data.sh --work "$out" "$data" "$jobs"   # DATA is only read
mkdir -p "$out/log"
launch "$cmd" JOB=1:"$jobs" "$out/log/extract.$JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.extract_ivectors "$out/split$jobs/$JOB" "$exp" "$out/xvector.$JOB.ark" "$out/xvector.$JOB.scp"
python3 -m sslspk.bin.merge_tables --jobs "$jobs" --ids "$data/feats.scp" --logs "$out/log" "$out/xvector.JOB.scp" "$out/xvector.scp"
rm -rf "$out/split$jobs"
done_mark "$out" extract_ivectors "${inputs[@]}"
