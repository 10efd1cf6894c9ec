#!/usr/bin/env bash
# Table 3 of Zhang & Yu 2022, the rows that are networks; prints our figures next to the paper's.
#   ./run_table3.sh --voxceleb1 /corpora/VoxCeleb1 --voxceleb2 /corpora/VoxCeleb2 --musan ... --rirs ... --ngpu 4 --nj 32
#   ./run_table3.sh --encoder short --voxceleb1 /corpora/small --musan ... --rirs ...    (conf/*_short.yaml: hours, not weeks)
#   ./run_table3.sh --mini true
# Finished parts are kept when a system fails or the script is stopped: the same command resumes.
set -euo pipefail
encoder=           # systems are called NAME_ENCODER; empty: those of the paper, with --mini true NAME_tdnn
systems=           # only these of the table's systems, by whole names; empty: all
mini=false         # true: on the synthetic corpus
PASS=()            # all other options are those of run.sh
help_message="usage: $0 [--encoder NAME] [--systems 'S ...'] [--mini true] [options of run.sh]"
. "$(dirname "$0")/path.sh"
. utils/parse_options.sh
. utils/stages.sh
set -f   # a name with * or ? in it is no pattern
[ $# -eq 0 ] || { echo "$0: error: '$1' is no option; see $0 --help" >&2; exit 1; }
exps=exp confs=conf
if [ "$mini" = true ]; then
  exps=exp_mini confs=conf/mini PASS+=(--mini true)
  : "${encoder:=tdnn}"
fi
show=(local/show_paper_table.py --table 3 --paper conf/paper.yaml ${encoder:+--encoder "$encoder"})
[ -n "$systems" ] || systems=$("${show[@]}" --systems true)
# shellcheck disable=SC2086  # several names
require_systems $confs $systems

start_count "$(wc -w <<< "$systems")"
for system in $systems; do
  count_off "$system"
  ./run.sh --system "$system" "${PASS[@]}" ||
    { echo "$0: error: $system failed; see above, then run the same command again" >&2; exit 1; }
done
"${show[@]}" --out $exps/TABLE_3.md $exps
