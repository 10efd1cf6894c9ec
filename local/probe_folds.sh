#!/usr/bin/env bash
# Trains probes on frozen embeddings, on each fold of a cross-validation: reads EMB/xvector.scp and FOLDS as
# utils/make_folds.sh makes it, writes EXP/PROBE/{fold_*/,result.json} for each probe.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=2               # folds at a time
labels=            # the table of classes (or with --target regression, numbers) of all utterances of the folds
tested=            # that of the utterances that are tested; empty: all of --labels are, in one fold or another
target=classification   # classification | regression
probes=logistic    # e.g. "logistic linear_svm mlp knn plda"
pool=none          # none | mean | vote: how utterances of a group decide together
groups=            # their groups, such as data/adress_train/utt2spk
help_message="usage: $0 [--cmd C] [--nj N] --labels TABLE [--tested TABLE] [--probes 'P ...'] [--target classification|regression]
       [--pool none|mean|vote --groups TABLE] EMB FOLDS EXP"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
. utils/launch.sh
. utils/done.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
emb=$1 folds=$2 exp=$3

die() { echo "$0: error: $*" >&2; exit 1; }
[ -s "$folds/num_folds" ] || die "there are no folds in $folds; make them with utils/make_folds.sh."
[ -s "$emb/xvector.scp" ] || die "there are no embeddings in $emb; extract them first (local/embed.sh)."
count=$(cat "$folds/num_folds")
inputs=("$emb/xvector.scp" "$folds"/*/{train,test} "$labels" ${tested:+"$tested"} ${groups:+"$groups"})
[ ! -f "$emb/provenance.json" ] || inputs+=("$emb/provenance.json")
read -ra names <<< "$probes"   # no patterns
for probe in "${names[@]}"; do
  key="probe_folds $probe $target $pool ${groups:+$groups }$labels ${tested:+$tested }$emb"
  outputs=("$exp/$probe/result.json")
  for fold in $(seq "$count"); do outputs+=("$exp/$probe/fold_$fold/predictions.tsv"); done
  if done_skip "$exp/$probe" "$key" "${inputs[@]}" -- "${outputs[@]}"; then echo "$0: $exp/$probe is up to date, skipped"; continue; fi
  launch "$cmd" --max-jobs-run "$nj" JOB=1:"$count" "$exp/$probe/log/probe.$JOB.log" OMP_NUM_THREADS=1 steps/probe.sh --classifier "$probe" \
    --target "$target" --labels "$labels" --train "$folds/$JOB/train" --test "$folds/$JOB/test" "$emb" "$exp/$probe/fold_$JOB"
  predictions=(); for fold in $(seq "$count"); do predictions+=("$exp/$probe/fold_$fold/predictions.tsv"); done
  steps/score_classes.sh --labels "${tested:-$labels}" --pool "$pool" ${groups:+--groups "$groups"} "${predictions[@]}" "$exp/$probe"
  done_mark "$exp/$probe" "$key" "${inputs[@]}"
done
