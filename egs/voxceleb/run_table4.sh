#!/usr/bin/env bash
# Table 4 of Zhang & Yu 2022: MoCo, DINO and SupCon on training sets of increasing size. The paper's data are not public, and it does not
# say whether 2k means hours or speakers. Here the sets are parts of a public training set; each contains all smaller ones.
#   ./run_table4.sh --voxceleb1 /corpora/VoxCeleb1 --voxceleb2 /corpora/VoxCeleb2 --musan ... --rirs ... --ngpu 4 --nj 32
#   ./run_table4.sh --by hours --sizes "100 500 1000 2000" ...
#   ./run_table4.sh --mini true
# Finished parts are kept when a system fails or the script is stopped: the same command resumes.
set -euo pipefail
by=speakers        # what the sizes count: speakers | hours
sizes=             # empty: "500 1000 2000 4000 5994" speakers, with --mini true "30 60 90"; hours must be given
encoder=           # systems are called NAME_ENCODER; empty: those of the paper's tables, with --mini true NAME_tdnn
systems=           # only these; empty: MoCo, DINO and SupCon
mini=false         # true: on the synthetic corpus
PASS=()            # all other options are those of run.sh
help_message="usage: $0 [--by speakers|hours] [--sizes 'N ...'] [--encoder NAME] [--mini true] [options of run.sh]"
. "$(dirname "$0")/path.sh"
. utils/parse_options.sh
. utils/stages.sh
set -f   # a name with * or ? in it is no pattern
[ $# -eq 0 ] || { echo "$0: error: '$1' is no option; see $0 --help" >&2; exit 1; }
[[ $by = speakers || $by = hours ]] || { echo "$0: error: --by takes speakers or hours, not '$by'" >&2; exit 1; }
[ -n "$sizes" ] || [ "$by" = speakers ] || { echo "$0: error: --by hours needs --sizes, e.g. --sizes '100 500 1000 2000'" >&2; exit 1; }
: "${sizes:=$([ "$mini" = true ] && echo 30 60 90 || echo 500 1000 2000 4000 5994)}"
exps=exp confs=conf
if [ "$mini" = true ]; then
  exps=exp_mini confs=conf/mini PASS+=(--mini true)
  : "${encoder:=tdnn}"
fi
show=(local/show_paper_table.py --table 4 --paper conf/paper.yaml ${encoder:+--encoder "$encoder"})
[ -n "$systems" ] || systems=$("${show[@]}" --systems true)
# shellcheck disable=SC2086  # several names
require_systems $confs $systems

start_count $(($(wc -w <<< "$sizes") * $(wc -w <<< "$systems")))
for size in $sizes; do
  for system in $systems; do
    count_off "$system on $size $by"
    ./run.sh --system "$system" "--$by" "$size" "${PASS[@]}" ||
      { echo "$0: error: $system on $size $by failed; see above, then run the same command again" >&2; exit 1; }
  done
done
"${show[@]}" --out $exps/TABLE_4.md $exps
