#!/usr/bin/env bash
# Table 1 of Zhang & Yu 2022: MoCo and DINO, three encoders, two training sets; prints our figures next to the paper's.
#   ./run_table1.sh --voxceleb1 /corpora/VoxCeleb1 --voxceleb2 /corpora/VoxCeleb2 --musan ... --rirs ... --ngpu 4 --nj 32
#   ./run_table1.sh --mini true
# Finished parts are kept when a system fails or the script is stopped: the same command resumes.
set -euo pipefail
methods="moco dino"                # systems are called METHOD_ENCODER
encoders=                          # empty: "tdnn resnetse34l ecapa", with --mini true "tdnn"
trainsets="voxceleb1 voxceleb2"    # what to train on, one after the other
mini=false                         # true: on the synthetic corpus
PASS=()                            # all other options are those of run.sh
help_message="usage: $0 [--methods 'M ...'] [--encoders 'E ...'] [--trainsets 'T ...'] [--mini true] [options of run.sh]"
. "$(dirname "$0")/path.sh"
. utils/parse_options.sh
. utils/stages.sh
set -f   # a name with * or ? in it is no pattern
[ $# -eq 0 ] || { echo "$0: error: '$1' is no option; see $0 --help" >&2; exit 1; }
exps=exp confs=conf
: "${encoders:=$([ "$mini" = true ] && echo tdnn || echo tdnn resnetse34l ecapa)}"
if [ "$mini" = true ]; then
  exps=exp_mini confs=conf/mini PASS+=(--mini true)
fi

for method in $methods; do
  # shellcheck disable=SC2046,SC2086  # several names
  require_systems $confs $(printf "${method}_%s " $encoders)
done
start_count $(($(wc -w <<< "$trainsets") * $(wc -w <<< "$methods") * $(wc -w <<< "$encoders")))
for train in $trainsets; do
  tag=()
  [ "$train" != voxceleb1 ] || tag=(--tag vox1)
  for method in $methods; do
    for encoder in $encoders; do
      count_off "${method}_$encoder on $train"
      ./run.sh --system "${method}_$encoder" --train "$train" "${tag[@]}" "${PASS[@]}" ||
        { echo "$0: error: ${method}_$encoder on $train failed; see above, then run the same command again" >&2; exit 1; }
    done
  done
done
local/show_paper_table.py --table 1 --paper conf/paper.yaml --out $exps/TABLE_1.md $exps
