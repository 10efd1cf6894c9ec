#!/usr/bin/env bash
# The transfer studies of Cho et al. 2022: one thing is varied, everything else held, on several tasks; runs the recipes of the tasks
# and prints one table (speaker verification: EER, the others: mean recall UA).
#   ./run_study.sh --study chunks --model ../voxceleb/exp/dino_lresnet34/final.pt \
#     --iemocap "--iemocap /corpora/IEMOCAP --ngpu 4" --adress "--adress /corpora/ADReSS --ngpu 4"
# What was done stays: the same command goes on, and prints the table of what there is when a task is left out.
set -euo pipefail
study=chunks        # chunks: crops of 1, 2, 4, 8 s, whole | augment: clean, noisy | steps: once, step1, step2 | init: where it starts from
tasks="iemocap adress"   # some of: voxceleb iemocap adress
model=              # final.pt that is fine-tuned (all studies but init)
models=             # init: the models to compare, e.g. "../voxceleb/exp/xvector_tdnn/final.pt ../voxceleb/exp/dino_lresnet34/final.pt"
frame_model=        # init: "ARCH CHECKPOINT" of a frame-level model, pooled over time (see steps/extract_frame_model.sh); probes alone
seeds="0 1 2"       # of the fine-tunings
iemocap=            # more for ../iemocap/run.sh, e.g. --iemocap="--iemocap /corpora/IEMOCAP --nj 8"
adress=             # more for ../adress/run.sh
voxceleb=           # more for ../voxceleb/run.sh; its --system is the one that --system names
system=supervised_from_dino_once_short   # voxceleb: the fine-tuned system, whose chain begins with the model
mini=false          # true: on the synthetic corpora
help_message="usage: $0 --study chunks|augment|steps|init --model M [--tasks 'T ...'] [--iemocap 'OPTIONS'] [--adress 'OPTIONS']
       [--mini true]"
. ./path.sh; . utils/parse_options.sh
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -eq 0 ] || die "'$1' is no option; see $0 --help"
for task in $tasks; do
  case $task in voxceleb|iemocap|adress) ;; *) die "--tasks takes voxceleb, iemocap and adress, not '$task'" ;; esac
done
exps=exp; [ "$mini" = false ] || exps=exp_mini
table=()   # VARIANT:TASK=EXPERIMENT
name_of() { basename "$(dirname "$(readlink -f "$1")")"; }

classes() {   # VARIANT MODEL SUFFIX [option of run.sh]...: both tasks with classes
  local variant=$1 from=$2 suffix=$3 task start=scratch; shift 3
  [ -z "$from" ] || start=$(name_of "$from")
  for task in $tasks; do
    case $task in
      iemocap) run iemocap "$iemocap" "${from:+$(readlink -f "$from")}" "$@"
               table+=("$variant:iemocap=../iemocap/$exps/${start}${suffix/_FOLDS/_session}") ;;
      adress) run adress "$adress" "${from:+$(readlink -f "$from")}" "$@"
              table+=("$variant:adress=../adress/$exps/${start}${suffix/_FOLDS/}_cv5") ;;
    esac
  done
}
run() {   # RECIPE OPTIONS MODEL [option of run.sh]...
  local recipe=$1 more=$2 from=$3; shift 3
  # shellcheck disable=SC2086  # OPTIONS holds several words
  (cd "../$recipe" && ./run.sh --mini "$mini" --seeds "$seeds" --probes "" ${from:+--model "$from"} $more "$@")
}
verify() {   # VARIANT SYSTEM TAG [option of run.sh]...: speaker verification
  local variant=$1 what=$2 tag=$3; shift 3
  [[ " $tasks " == *" voxceleb "* ]] || return 0
  # shellcheck disable=SC2086
  (cd ../voxceleb && ./run.sh --mini "$mini" --system "$what" ${tag:+--tag "$tag"} $voxceleb "$@")
  table+=("$variant:voxceleb=../voxceleb/$exps/$what${tag:+_$tag}")
}

[ "$study" = init ] || [ -s "$model" ] || die "--model names no model ('$model'); train one with egs/voxceleb/run.sh"
case $study in
  chunks)
    for seconds in 1 2 4 8 full; do
      classes "$seconds s" "$model" "_once_FOLDS_${seconds}s" --seconds "$seconds"
      crop=$seconds whole=(); [ "$seconds" != full ] || crop=30 whole=(--set data.short=whole)
      verify "$seconds s" "$system" "${seconds}s" --set "method.crops=[{count: 1, seconds: $crop}]" "${whole[@]}"
    done ;;
  augment)
    classes clean "$model" _once_FOLDS
    classes noisy "$model" _once_FOLDS_noisy --augment true
    verify clean "$system" clean --set augment.noise_prob=0 --set augment.reverb_prob=0 --set augment.eq_prob=0
    verify noisy "$system" "" ;;
  steps)
    for ft in once step1 step2; do classes $ft "$model" "_${ft}_FOLDS" --ft $ft; done
    verify once "$system" ""
    verify step1 "${system/_once_/_step1_}" ""
    verify step2 "${system/_once_/_}" "" ;;
  init)
    for from in $models; do
      [ -s "$from" ] || die "there is no model $from; train it with egs/voxceleb/run.sh"
      classes "$(name_of "$from") (fresh)" "$from" _fresh_once_FOLDS --init false
      classes "$(name_of "$from")" "$from" _once_FOLDS
    done
    if [ -n "$frame_model" ]; then
      for task in $tasks; do
        [ "$task" != voxceleb ] || continue
        more=$iemocap folds=session; [ "$task" = iemocap ] || more=$adress folds=cv5
        # shellcheck disable=SC2086
        (cd "../$task" && ./run.sh --mini "$mini" --ft none --frame-model "$frame_model" $more)
        arch=${frame_model%% *} weights=$(basename "${frame_model##* }" .pt)
        table+=("$arch (probe):$task=../$task/$exps/probes_${arch}_${weights}_$folds/logistic")
      done
    else
      table+=("frame-level model (no checkpoint given: not run):iemocap=")
    fi ;;
  *) die "--study takes chunks, augment, steps or init, not '$study'" ;;
esac
python3 local/show_study.py --title "$study" --out "$exps/STUDY_$study.md" "${table[@]}"
