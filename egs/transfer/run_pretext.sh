#!/usr/bin/env bash
# Compares pretext tasks: recognises speakers, languages and emotions from the frozen embeddings of every model, fine-tunes the models for
# emotions, and prints one table (speaker verification: EER, the others: mean recall UA).
#   ./run_pretext.sh --init-from ../librispeech/exp/cpc_spk_1/final.pt --init-from ../voxceleb/exp/dino_ecapa/final.pt \
#     --voxlingua107="--voxlingua107 /corpora/VoxLingua107 --voxceleb1 /corpora/VoxCeleb1" --iemocap="--iemocap /corpora/IEMOCAP"
# Models in folders NAME, NAME_seed1, NAME_seed2 share a row, with their mean. The same command resumes after an interruption.
set -euo pipefail
init_from=()        # models to compare: final.pt of any recipe
beside=()           # folders with scores but no final.pt, as rows with a speaker EER, e.g. ../voxceleb/exp/ivector_mfcc
tasks=-             # voxlingua107 (languages; with --voxceleb1 among its options speakers, too), iemocap, ravdess; -: all
tuned=-             # which of iemocap and ravdess the models are also fine-tuned for; -: those of --tasks; empty: none
untrained=false     # true: also evaluate each model's network with its initial weights, in a separate row
seeds=0             # seeds of the fine-tunings
voxlingua107=       # more for ../voxlingua107/run.sh, e.g. (with that first =) --voxlingua107="--voxlingua107 DIR --voxceleb1 DIR"
iemocap=            # more for ../iemocap/run.sh
ravdess=            # more for ../ravdess/run.sh
mini=false          # true: on the synthetic corpora; there is none of ravdess
help_message="usage: $0 --init-from M [--init-from M]... [--beside EXP]... [--tasks 'T ...'] [--tuned 'T ...'] [--seeds '0 1 2'] [--untrained true] [--voxlingua107='--OPTION ...']
       [--iemocap='--OPTION ...'] [--ravdess='--OPTION ...'] [--mini true]"
. "$(dirname "$0")/path.sh"
. utils/parse_options.sh
. utils/models.sh
set -f   # a name with * or ? in it is no pattern
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -eq 0 ] || die "'$1' is no option; see $0 --help"
[ ${#init_from[@]} -gt 0 ] || die "--init-from names no model; train one with egs/librispeech/run.sh or egs/voxceleb/run.sh"
exps=exp
[ "$mini" = false ] || exps=exp_mini
[ "$tasks" != - ] || { tasks="voxlingua107 iemocap"; [ "$mini" = true ] || tasks+=" ravdess"; }
[ "$tuned" != - ] || tuned=${tasks//voxlingua107/}
[ -n "${tasks// /}" ] || die "--tasks names no task; give some of voxlingua107, iemocap and ravdess"
for task in $tasks $tuned; do
  case $task in voxlingua107|iemocap|ravdess) ;; *) die "--tasks and --tuned take voxlingua107, iemocap and ravdess, not '$task'" ;; esac
  [ "$mini" = false ] || [ "$task" != ravdess ] || die "ravdess has no synthetic corpus; leave it out of --tasks and --tuned with --mini true"
done
[[ " $tuned " != *" voxlingua107 "* ]] || die "--tuned takes iemocap and ravdess, not 'voxlingua107', which is measured on frozen embeddings"
seen=' '
for i in "${!init_from[@]}"; do
  model_require "${init_from[i]}"
  ! model_pair "${init_from[i]}" || die "'${init_from[i]}' is no final.pt; train with --init-from first, and compare the final.pt of that training"
  init_from[i]=$(model_path "${init_from[i]}") name=$(model_name "${init_from[i]}")
  [[ $seen != *" $name "* ]] || die "two of --init-from are called $name; the folder of a model is its name: give one another"
  seen+="$name "
done
asked() { [[ " $tasks " == *" $1 "* ]]; }
row_of() { local name; name=$(model_name "$1"); [[ ! $name =~ ^(.+)_seed[0-9]+$ ]] || name=${BASH_REMATCH[1]}; echo "$name"; }
options_of() { case $1 in voxlingua107) echo "$voxlingua107" ;; iemocap) echo "$iemocap" ;; ravdess) echo "$ravdess" ;; esac; }
for task in $tasks $tuned; do
  [ "$mini" = true ] || [ -n "$(options_of "$task")" ] || die "--$task is empty; give its corpus, as in --$task=\"--$task DIR\""
done
table=()   # ROW:TASK=EXPERIMENT
for folder in "${beside[@]}"; do
  compgen -G "$folder/scores_*/result_trials_veri_test2.json" > /dev/null ||
    die "$folder holds no scores of veri_test2; run egs/voxceleb/run_ivector.sh, or leave --beside out"
  table+=("$(basename "$folder"):speaker=$folder")
done

recipe() {   # TASK [option of run.sh]...: runs the recipe of a task, or (--print-name true) prints the names of its experiments
  local task=$1 more
  shift
  more=$(options_of "$task")
  [ "$mini" = false ] || more="--mini true $more"
  # shellcheck disable=SC2086  # options are several words
  (cd -P "../$task" && ./run.sh $more "$@")
}

emotion() {   # TASK MODEL ROW [option of run.sh]...: asks the frozen embeddings, and fine-tunes, as --tasks and --tuned say
  local task=$1 model=$2 row=$3 words names
  shift 3
  if asked "$task"; then
    words=(--ft none --init-from "$model" --probes logistic "$@")
    names=$(recipe "$task" "${words[@]}" --print-name true)
    recipe "$task" "${words[@]}"
    table+=("$row:$task frozen=../$task/${names##*$'\n'}/logistic")
  fi
  if [[ " $tuned " == *" $task "* ]]; then
    words=(--ft once --init-from "$model" --probes "" --seeds "$seeds" "$@")
    names=$(recipe "$task" "${words[@]}" --print-name true)
    recipe "$task" "${words[@]}"
    table+=("$row:$task=../$task/${names%%$'\n'*}")
  fi
}

if asked voxlingua107; then
  recipe voxlingua107 --systems "" --probes logistic --untrained "$untrained" "${init_from[@]/#/--models=}"
fi
twins=' '   # rows of which the untrained network is asked already
for model in "${init_from[@]}"; do
  row=$(row_of "$model")
  rows=("$row")
  if [ "$untrained" = true ] && [[ $twins != *" $row "* ]]; then
    rows+=("$row, untrained") twins+="$row "
  fi
  for row in "${rows[@]}"; do
    if asked voxlingua107; then
      exp=../voxlingua107/$exps/$(model_name "$model")
      table+=("$row:language=$exp")
      [[ ! "$voxlingua107 " =~ --voxceleb1[=\ ] && $mini = false ]] || table+=("$row:speaker=$exp")
    fi
    more=()
    [[ $row != *", untrained" ]] || more=(--init false)
    for task in iemocap ravdess; do
      emotion $task "$model" "$row" "${more[@]}"
    done
  done
done
python3 local/show_study.py --title "which pretext task for which task" --out "$exps/PRETEXT.md" "${table[@]}"
