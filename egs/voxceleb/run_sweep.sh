#!/usr/bin/env bash
# Trains and scores one system with each value of a setting, or each combination of several; the trainings are tasks of one job array.
#   ./run_sweep.sh --over "seed=0 1 2" --system dino_ecapa --voxceleb1 /corpora/VoxCeleb1 ... --ngpu 1 --cmd utils/slurm.pl --requeue true
#   ./run_sweep.sh --mini true --over "lr:train.lr=0.1 0.2" --over "seed=0 1" --system dino_tdnn
# The experiments are SYSTEM_lr0.1_seed0 and so on; the word before the colon is used in their names. The same command resumes.
set -euo pipefail
over=()            # [NAME:]KEY=VALUE VALUE ...
system=dino_ecapa  # as for run.sh
mini=false         # as for run.sh
cmd=               # where jobs run; empty: as cmd.sh says
ngpu=0             # GPUs of each training
nodes=1            # each training is a task on one machine
requeue=false      # true: a training that the scheduler stops (time limit, preemption) saves and goes back into the queue
input=wave          # as for run.sh
at_once=           # trainings at a time; empty: as many as the scheduler or this machine has room for
stage=0            # first stage to run, of those of run.sh
stop_stage=8       # last stage to run
tag=               # prefix of the names
set=()             # overrides that hold for all, as for run.sh
PASS=()            # all other options are those of run.sh
help_message="usage: $0 --over '[NAME:]KEY=VALUE VALUE ...' [--over ...] [--at-once N] [options of run.sh]"
. "$(dirname "$0")/path.sh"
. ./cmd.sh
. utils/parse_options.sh
set -f   # a name with * or ? in it is no pattern
. utils/launch.sh
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -eq 0 ] || die "'$1' is no option; see $0 --help"
[ ${#over[@]} -gt 0 ] || die "--over names no setting; give one such as --over 'seed=0 1 2'"
[ "$nodes" = 1 ] || die "--nodes $nodes: each training of a sweep is one task on one machine; leave it out, or train by run.sh"
[ -z "$cmd" ] || cuda_cmd=$cmd
confs=conf exps=exp
[ "$mini" = false ] || confs=conf/mini exps=exp_mini
[ -f "$confs/$system.yaml" ] || die "there is no $confs/$system.yaml; --system names such a file"
common=(--system "$system" --mini "$mini" --ngpu "$ngpu" --requeue "$requeue" --input "$input" "${PASS[@]}")
[ -z "$cmd" ] || common+=(--cmd "$cmd")

own=
for item in "${set[@]}"; do
  own+=" --set $(printf %q "$item")"
done
tags=("$tag") sets=("$own")   # every combination: its name, and its overrides, quoted for the shell
for item in "${over[@]}"; do
  name=${item%%=*} values=${item#*=}
  [[ $item == *=* && -n ${values// /} && $name != *" "* && $item != *$'\n'* ]] || die "--over takes [NAME:]KEY=VALUE VALUE ..., not '$item'"
  key=${name#*:}
  [[ $name == *:* ]] && name=${name%%:*} || name=${key##*.}
  read -ra values <<< "$values"
  more_tags=() more_sets=()
  for i in "${!tags[@]}"; do
    for value in "${values[@]}"; do
      clean=$(tr -c 'A-Za-z0-9.\n-' _ <<< "$value")
      more_tags+=("${tags[i]:+${tags[i]}_}$name$clean") more_sets+=("${sets[i]} --set $(printf %q "$key=$value")")
    done
  done
  tags=("${more_tags[@]}") sets=("${more_sets[@]}")
done
[ -z "$(printf '%s\n' "${tags[@]}" | sort | uniq -d)" ] ||
  die "two combinations have one name; name the settings apart: --over 'NAME:KEY=...'"
dir=$exps/sweep_$system${tag:+_$tag}
mkdir -p "$dir/log"
for i in "${!tags[@]}"; do
  printf '%s --tag %q %s "$@"\n' "./run.sh $(printf '%q ' "${common[@]}")" "${tags[i]}" "${sets[i]}" > "$dir/task.$((i + 1)).sh"
done

each() {  # FIRST LAST: these stages of all trainings, one after the other
  local i
  for i in "${!tags[@]}"; do
    bash "$dir/task.$((i + 1)).sh" --stage "$1" --stop-stage "$2"
  done
}

shared=2   # the last stage that is done once for all
[ "$input" = wave ] || shared=1   # each has noisy copies of features of its own
if [ "$stage" -le $shared ]; then
  ./run.sh "${common[@]}" --stage "$stage" --stop-stage $((stop_stage < shared ? stop_stage : shared))
fi
if [ $shared -lt 2 ] && [ "$stage" -le 2 ] && [ "$stop_stage" -ge 2 ]; then
  each 2 2
fi

if [ "$stage" -le 3 ] && [ "$stop_stage" -ge 3 ]; then
  chain=$(python3 -m sslspk.bin.show_config --conf "$confs/$system.yaml" --chain | tail -n 1)
  [ -z "$chain" ] || ./run.sh "${common[@]}" --system "$chain" --stage $((shared + 1)) --stop-stage 3   # what they all start from
  echo "$0: trains ${tags[*]} (log: $dir/log/train.*.log)"
  job=(--gpu "$ngpu" ${at_once:+--max-jobs-run "$at_once"})
  [ "$requeue" = false ] || job+=(--requeue true)
  # Within its task, a training is a process of the machine where the task runs; one that was told to save ends the task with 99.
  SSLSPK_FOLLOW=$TRAINING_FIGURES launch "$cuda_cmd" "${job[@]}" JOB=1:${#tags[@]} "$dir/log/train.$JOB.log" \
    bash "$dir/task.$JOB.sh" --stage 3 --stop-stage 3 --cmd utils/run.pl
fi

if [ "$stage" -le 7 ] && [ "$stop_stage" -ge 4 ]; then
  each $((stage > 4 ? stage : 4)) $((stop_stage < 7 ? stop_stage : 7))
fi
[ "$stop_stage" -lt 8 ] || ./run.sh "${common[@]}" --stage 8
