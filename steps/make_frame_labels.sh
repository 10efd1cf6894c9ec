#!/usr/bin/env bash
# Gives each frame of FEATS/feats.scp a label by clustering or a random projection: writes OUT/ali.{scp,N.ark,json} and OUT/labeller.npz.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4               # number of parallel jobs, and of archives
kind=mel           # mel: k-means of log-mel; frames: k-means of a model's frames; bestrq: a random projection of log-mel (BEST-RQ)
classes=50         # number of labels
normalise=         # none | mean | mean_deviation, of the frames of an utterance; empty: mel mean, frames none, bestrq mean_deviation
points=200000      # frames that k-means learns from, evenly spread over the utterances
iterations=20      # iterations of k-means
dim=16             # dimensions of the random projection
seed=0             # seed of k-means and of the random projection
labeller=          # OUT of another run, whose labels are used; of the options above only --nj counts then
help_message="usage: $0 [--cmd C] [--nj N] [--kind mel|frames|bestrq] [--classes K] [--normalise N] [--points N] [--iterations N]
       [--dim D] [--seed S] [--labeller DIR] FEATS OUT
FEATS/feats.scp: log-mel of a data directory, by steps/make_feats.sh, or the frames of a model or of one of its layers, by the
step extract_frames.sh.
example: $0 --kind bestrq data/train exp/labels/train
         $0 --labeller exp/labels/train data/test exp/labels/test"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
feats=$1 out=$2

die() { echo "$0: error: $*" >&2; exit 1; }
[ -s "$feats/feats.scp" ] || die "there is no $feats/feats.scp; run steps/make_feats.sh or steps/extract_frames.sh."
inputs=("$feats/feats.scp")
for file in "$feats"/{frame_shift,provenance.json,.make_feats/options}; do [ ! -f "$file" ] || inputs+=("$file"); done
made=$out/labeller.npz
if [ -n "$labeller" ]; then
  [ -s "$labeller/labeller.npz" ] || die "there is no $labeller/labeller.npz; give --labeller the OUT of another run of this step."
  [ ! "$labeller" -ef "$out" ] || die "--labeller and OUT are one folder, $out; give another OUT."
  made=$labeller/labeller.npz
  inputs+=("$made")
fi
options=(--kind "$kind" --classes "$classes" --points "$points" --iterations "$iterations" --dim "$dim" --seed "$seed")
[ -z "$normalise" ] || options+=(--normalise "$normalise")
key="make_frame_labels ${options[*]@Q} ${labeller:+of}" arks=()
total=$(grep -c "" "$feats/feats.scp")
[ "$nj" -le "$total" ] || nj=$total
for n in $(seq "$nj"); do arks+=("$out/ali.$n.ark"); done
[ -n "$labeller" ] || arks+=("$made")
done_own "$out" "$out"/ali.*
if done_skip "$out" "$key" "${inputs[@]}" -- "$out"/ali.{scp,json} "${arks[@]}"; then echo "$0: $out is up to date, skipped"; exit 0; fi

mkdir -p "$out/log"
rm -f "$out"/ali.*
if [ -z "$labeller" ]; then
  launch "$cmd" "$out/log/train.log" OMP_NUM_THREADS=1 python3 -m sslspk.bin.make_frame_labels train "${options[@]}" "$feats" "$made"
fi
launch "$cmd" JOB=1:"$nj" "$out/log/label.$JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.make_frame_labels label --parts "$nj" --part "$JOB" "$made" "$out" "$feats"
launch "$cmd" "$out/log/join.log" python3 -m sslspk.bin.make_frame_labels join --parts "$nj" "$made" "$out"
[ "$(grep -c "" "$out/ali.scp")" -eq "$total" ] || die "not all of $total utterances have labels; see $out/log, then run the step again."
done_mark "$out" "$key" "${inputs[@]}"
echo "$0: wrote $out/ali.scp, labels of $total utterances"
