#!/usr/bin/env bash
# The transfer studies of Cho et al. 2022: one setting is varied, everything else is fixed, on several tasks. Runs the recipes of the tasks
# and prints one table (speaker verification: EER, the others: mean recall UA).
#   ./run_study.sh --study chunks --init-from ../voxceleb/exp/dino_lresnet34/final.pt \
#     --iemocap="--iemocap /corpora/IEMOCAP --ngpu 4" --adress="--adress /corpora/ADReSS --ngpu 4"
# The same command resumes the study. If a task is left out, its existing results are still in the table.
set -euo pipefail
study=chunks        # chunks: crops of 1, 2, 4, 8 s, whole | augment: clean, noisy | steps: once, step1, step2 | init: where it starts from
tasks="iemocap adress"   # some of: voxceleb iemocap adress
init_from=()        # final.pt to fine-tune, or "ARCH CHECKPOINT"; several with --study init
seeds="0 1 2"       # seeds of the fine-tunings
iemocap=            # more for ../iemocap/run.sh, e.g. (with that first =) --iemocap="--iemocap /corpora/IEMOCAP --nj 8"
adress=             # more for ../adress/run.sh
voxceleb=           # more for ../voxceleb/run.sh; its --system is the one that --system names
system=             # voxceleb: what is trained, from --init-from on; empty: supervised_from_dino_once_short, init: supervised_short, mini: .._tdnn
mini=false          # true: on the synthetic corpora
help_message="usage: $0 --study chunks|augment|steps --init-from M [--tasks 'T ...'] [--iemocap='--OPTION ...'] [--adress='--OPTION ...']
       [--voxceleb='--OPTION ...'] [--system S] [--mini true]
       $0 --study init --init-from M [--init-from M]... ..."
. "$(dirname "$0")/path.sh"
. utils/parse_options.sh
. utils/models.sh
set -f   # a name with * or ? in it is no pattern
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -eq 0 ] || die "'$1' is no option; see $0 --help"
case $study in chunks|augment|steps|init) ;; *) die "--study takes chunks, augment, steps or init, not '$study'" ;; esac
[ -n "${tasks// /}" ] || die "--tasks names no task; give some of voxceleb, iemocap and adress"
for task in $tasks; do
  case $task in voxceleb|iemocap|adress) ;; *) die "--tasks takes voxceleb, iemocap and adress, not '$task'" ;; esac
  [ -f "../$task/run.sh" ] || die "there is no ../$task/run.sh, which this script runs; run it in $SSLSPK_ROOT/egs/transfer"
done
exps=exp confs=../voxceleb/conf
[ "$mini" = false ] || exps=exp_mini confs=../voxceleb/conf/mini
if [ -z "$system" ]; then
  system=supervised_
  [ "$study" = init ] || system+=from_dino_once_
  if [ "$mini" = true ]; then system+=tdnn; else system+=short; fi
fi
steps=("$system" "${system/_once/_step1}" "${system/_once/}")
table=() double=false   # table: VARIANT:TASK=EXPERIMENT
asked() { [[ " $tasks " == *" $1 "* ]]; }

[ ${#init_from[@]} -gt 0 ] || die "--init-from names no model; train one with egs/voxceleb/run.sh"
[ "$study" = init ] || [ ${#init_from[@]} -eq 1 ] || die "--study $study takes one --init-from; --study init compares several"
seen=' '
for i in "${!init_from[@]}"; do
  model_require "${init_from[i]}"
  init_from[i]=$(model_path "${init_from[i]}") name=$(model_name "${init_from[i]}")
  [[ $seen != *" $name "* ]] || die "two of --init-from are called $name; the folder of a model is its name: give one another"
  seen+="$name "
done
if asked voxceleb; then
  [[ ! " $voxceleb" =~ \ --(system|mini|speakers|hours)[=\ ] ]] ||
    die "--voxceleb takes no --${BASH_REMATCH[1]}, which names another experiment; --system and --mini are options of this script"
  [ "$study" = steps ] || steps=("$system")
  [ ${#steps[@]} -eq 1 ] || [[ ${system}_ == *_once_* ]] ||
    die "--study steps needs a --system like ecapa_aam_from_dino_once, with _once in its name, not '$system'"
  for name in "${steps[@]}"; do
    [ -f "$confs/$name.yaml" ] || die "there is no $confs/$name.yaml; --system names such a file"
  done
fi

run() {   # VARIANT TASK tuned|probed [option of run.sh]...: a cell of the table
  local variant=$1 task=$2 kind=$3 more words said
  shift 3
  more=$iemocap
  [ "$task" = iemocap ] || more=$adress
  # shellcheck disable=SC2206  # options are several words
  words=(--mini "$mini" --seeds "$seeds" --probes "" $more "$@")
  # shellcheck disable=SC2207
  [ "$double" = false ] || words+=($(longer "$more"))
  said=$(cd -P "../$task" && ./run.sh "${words[@]}" --print-name true)   # fine-tuning, probes
  (cd -P "../$task" && ./run.sh "${words[@]}")
  case $kind in
    tuned) note "$variant:$task" "../$task/${said%%$'\n'*}" 'seed*/result.json' ;;
    probed) note "$variant:$task" "../$task/${said##*$'\n'}/logistic" result.json ;;
  esac
}
note() {   # VARIANT:TASK EXPERIMENT RESULT: a cell, whose result has to be there by now
  compgen -G "$2/$3" > /dev/null || die "$2 was run and holds no $3; let its recipe run to its end, then give this command again"
  table+=("$1=$2")
}
tag_in() { [[ ! " $1" =~ .*\ --tag[=\ ]+([^ ]+) ]] || echo "${BASH_REMATCH[1]}"; }   # OPTIONS: prints the tag that they have, if any
longer() {   # OPTIONS: prints those of a training twice as long as theirs or, if they say nothing, as conf/ft/once.yaml's
  local key tag twice=
  for key in epochs steps; do
    [[ ! $1 =~ .*train\.$key=([0-9.eE+-]+) ]] || twice+="--set train.$key=$(awk "BEGIN { print 2 * ${BASH_REMATCH[1]} }") "
  done
  tag=$(tag_in "$1")
  echo "${twice:---set train.epochs=40 }--tag ${tag:+${tag}_}long"
}
classes() {   # VARIANT MODEL [option of run.sh]...: fine-tunes MODEL for the tasks with classes
  local variant=$1 from=$2 task
  shift 2
  for task in iemocap adress; do
    if asked $task; then
      run "$variant" $task tuned --init-from "$from" "$@"
    fi
  done
}
verify() {   # VARIANT SYSTEM FROM TAG [option of run.sh]...: speaker verification; FROM: what the system is trained from, may be empty
  local variant=$1 what=$2 from=$3 tag
  tag=$(tag_in "$voxceleb")${4:+_$4}
  shift 4
  asked voxceleb || return 0
  tag=${tag#_}
  # shellcheck disable=SC2086
  (cd -P ../voxceleb && ./run.sh --mini "$mini" --system "$what" $voxceleb ${tag:+--tag "$tag"} ${from:+--init-from "$from"} "$@")
  note "$variant:voxceleb" "../voxceleb/$exps/$what${from:+_from_$(model_name "$from")}${tag:+_$tag}" 'scores_*/result_trials_veri_test2.json'
}

model=${init_from[0]}
case $study in
  chunks)
    for seconds in 1 2 4 8; do
      classes "$seconds s" "$model" --seconds "$seconds"
      verify "$seconds s" "$system" "" "${seconds}s" --set "method.crops=[{count: 1, seconds: $seconds}]"
    done
    classes whole "$model" --seconds full   # speaker verification is trained on batches of crops, so there is none of whole recordings
    ! asked voxceleb || table+=("whole:voxceleb=") ;;
  augment)
    classes clean "$model"
    classes noisy "$model" --augment true
    verify clean "$system" "" clean --set augment.noise_prob=0 --set augment.reverb_prob=0 --set augment.eq_prob=0
    verify noisy "$system" "" "" ;;
  steps)
    classes once "$model" --ft once
    double=true classes "once, as long as both" "$model" --ft once
    for ft in step1 step2; do
      classes $ft "$model" --ft $ft
    done
    verify "once, as long as both" "${steps[0]}" "" ""
    verify step1 "${steps[1]}" "" ""
    verify step2 "${steps[2]}" "" "" ;;
  init)
    for model in "${init_from[@]}"; do
      name=$(model_name "$model")
      classes "$name (fresh)" "$model" --init false
      classes "$name" "$model"
      verify "$name" "$system" "$model" ""
      for task in iemocap adress; do   # of frame-level models what their layers hold as they are, too
        if asked $task && model_pair "$model"; then
          run "$name (probe)" $task probed --ft none --init-from "$model" --probes logistic
        fi
      done
    done
    verify "$system from scratch" "$system" "" "" ;;
esac
python3 local/show_study.py --title "$study" --out "$exps/STUDY_$study.md" "${table[@]}"
