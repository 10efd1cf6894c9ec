#!/usr/bin/env bash
# Trains a classifier on each fold of a cross-validation, in parallel, and scores it on the part held out: reads FOLDS as
# utils/make_folds.sh makes it, writes EXP/fold_*/ (models, predictions) and EXP/result.json. After any interruption the same command
# resumes.
set -euo pipefail
cuda_cmd=utils/run.pl  # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
ngpu=0             # 0: on the CPU; else each fold gets one GPU, this many folds at a time
nj=2               # folds at a time on the CPU
labels=            # the table of classes of all utterances, such as data/iemocap/utt2emotion; must be given
init_from=         # final.pt or "ARCH CHECKPOINT"; its features and encoder are taken as they are; empty: those of --scratch
scratch=conf/scratch.yaml   # features and encoder where there is no --init-from
init=true          # true: start from the weights of --init-from | false: its architecture with fresh weights
step1=affine       # what step1 trains: affine, the encoder's last affine layers and the classifier | head: the classifier
ft=once            # once: everything at once | step1: classifier and last affine layers alone | step2: step1, then everything
confs=conf/ft      # folder of once.yaml, step1.yaml, step2.yaml
set=()             # KEY=VALUE, overrides of every step's configuration
pool=none          # none | mean | vote: how utterances of a group decide together
groups=            # their groups, such as data/adress_train/utt2spk
seconds=           # crops in training, and pieces in testing; full: whole utterances, up to 20 s in training; empty: --confs' crops, whole
help_message="usage: $0 [--cuda-cmd C] [--ngpu N] [--nj N] --labels TABLE [--init-from M] [--init true|false] [--ft once|step1|step2]
       [--step1 affine|head] [--set k=v]... [--pool none|mean|vote --groups TABLE] [--seconds S|full] FOLDS EXP"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh
. utils/launch.sh
. utils/done.sh
. utils/models.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
folds=$1 exp=$2

die() { echo "$0: error: $*" >&2; exit 1; }
[ -s "$folds/num_folds" ] || die "there are no folds in $folds; make them with utils/make_folds.sh."
[ -s "$labels" ] || die "--labels names no table of classes ('$labels'); give one such as data/iemocap/utt2emotion."
model_require "$init_from"
[ "$step1" = affine ] || [ "$step1" = head ] || die "--step1 takes affine or head, not '$step1'."
[ -z "$init_from" ] || init_from=$(model_path "$init_from")
case $ft in once|step1|step2) ;; *) die "--ft takes once, step1 or step2, not '$ft'." ;; esac
count=$(cat "$folds/num_folds")
at_once=$((ngpu > 0 ? ngpu : nj))
[[ $seconds =~ ^(full|[0-9]{0,4}(\.[0-9]{1,9})?)$ ]] || die "--seconds takes a number, or full, not '${seconds:0:40}'."
yaml() { echo "'${1//\'/\'\'}'"; }   # a name as a string of YAML, whatever signs are in it
overrides=(--set "data.labels=$(yaml "$(basename "$labels")")")
for item in ${set[@]+"${set[@]}"}; do overrides+=("--set=$item"); done
pieces=0 crop=$seconds
case $seconds in
  "") ;;
  full) crop=$(cat "$folds"/1/*/utt2dur | awk '$2 > most { most = $2 } END { print (most > 20 ? 20 : most) }') ;;
  *) pieces=$seconds ;;
esac
[ -z "$crop" ] || overrides+=(--set "method.crops=[{count: 1, seconds: $crop}]")
[ ! -d "$folds/1/valid" ] || overrides+=(--set "train.valid=$(yaml "$folds/$JOB/valid")")

key="finetune_folds $ft $step1 $init $pool ${groups:+$groups }$labels ${overrides[*]@Q} $pieces $(done_conf "$confs"/{once,step1,step2}.yaml)"
[ -n "$init_from" ] || key+=$(done_conf "$scratch")
weights=$(model_file "$init_from")
[ -z "$init_from" ] || [ -n "$weights" ] || key+=" $init_from"
inputs=("$labels" "$folds"/*/* ${groups:+"$groups"} ${weights:+"$weights"})   # data directories
outputs=("$exp/result.json"); for fold in $(seq "$count"); do outputs+=("$exp/fold_$fold"/{final.pt,test/predictions.tsv}); done
if done_skip "$exp" "$key" "${inputs[@]}" -- "${outputs[@]}"; then echo "$0: $exp is up to date, skipped"; exit 0; fi

train() {   # STEP OUT [INIT]: OUT/fold_JOB/final.pt, all folds. What the model was trained by is not taken over, only what it reads and is.
  local job=$2/fold_$JOB from=()
  [ $# -lt 3 ] || from=(--init-from "$3")
  mkdir -p "$2/log"
  local part=(); [ "$1" != step1 ] || part=(--set "train.trainable=$step1")
  local base=(--encoder-of "$init_from"); [ -n "$init_from" ] || base=(--on "$scratch")
  python3 -m sslspk.bin.show_config "${base[@]}" --conf "$confs/$1.yaml" "${part[@]}" > "$2/.conf.yaml"
  # A fold runs where its job runs: within the job, training is a process of the same machine.
  SSLSPK_FOLLOW=$TRAINING_FIGURES launch "$cuda_cmd" --gpu $((ngpu > 0)) --max-jobs-run "$at_once" JOB=1:"$count" "$2/log/train.$JOB.log" \
    OMP_NUM_THREADS=1 steps/train.sh --ngpu $((ngpu > 0)) --conf "$2/.conf.yaml" "${overrides[@]}" "${from[@]}" "$folds/$JOB/train" "$job"
}

start=(); [ "$init" = false ] || [ -z "$init_from" ] || start=("$init_from")
case $ft in
  once) train once "$exp" "${start[@]}" ;;
  step1) train step1 "$exp" "${start[@]}" ;;
  step2) train step1 "${exp}_step1" "${start[@]}"; train step2 "$exp" "${exp}_step1/fold_$JOB/final.pt" ;;
esac
launch "$cuda_cmd" --gpu $((ngpu > 0)) --max-jobs-run "$at_once" JOB=1:"$count" "$exp/log/classify.$JOB.log" \
  steps/classify.sh --ngpu $((ngpu > 0)) --seconds "$pieces" "$folds/$JOB/test" "$exp/fold_$JOB" "$exp/fold_$JOB/test"
predictions=(); for fold in $(seq "$count"); do predictions+=("$exp/fold_$fold/test/predictions.tsv"); done
steps/score_classes.sh --labels "$labels" --pool "$pool" ${groups:+--groups "$groups"} "${predictions[@]}" "$exp"
done_mark "$exp" "$key" "${inputs[@]}"
