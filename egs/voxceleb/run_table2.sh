#!/usr/bin/env bash
# Table 2 of Zhang & Yu 2022: nine systems from MoCo to C3-DINO; prints our figures next to the paper's, and draws the
# DET curves of all of them (their Figure 4).
#   ./run_table2.sh --voxceleb1 /corpora/VoxCeleb1 --voxceleb2 /corpora/VoxCeleb2 --musan ... --rirs ... --ngpu 4 --nj 32 \
#     --lists "veri_test2 voxsrc2021_val"
#   ./run_table2.sh --encoder short --voxceleb1 /corpora/small --musan ... --rirs ...    (conf/*_short.yaml: hours, not weeks)
#   ./run_table2.sh --mini true
# Finished parts are kept when a system fails or the script is stopped: the same command resumes.
set -euo pipefail
encoder=           # systems are called NAME_ENCODER; empty: those of the paper, with --mini true NAME_tdnn
systems=           # only these of the table's systems, by whole names such as moco_tdnn; empty: all
mini=false         # true: on the synthetic corpus
PASS=()            # all other options are those of run.sh
help_message="usage: $0 [--encoder NAME] [--systems 'S ...'] [--mini true] [options of run.sh]"
. "$(dirname "$0")/path.sh"
. utils/parse_options.sh
. utils/stages.sh
set -f   # a name with * or ? in it is no pattern
[ $# -eq 0 ] || { echo "$0: error: '$1' is no option; see $0 --help" >&2; exit 1; }
exps=exp data=data confs=conf
if [ "$mini" = true ]; then
  exps=exp_mini data=data_mini confs=conf/mini PASS+=(--mini true)
  : "${encoder:=tdnn}"
fi
show=(local/show_paper_table.py --table 2 --paper conf/paper.yaml ${encoder:+--encoder "$encoder"})
[ -n "$systems" ] || systems=$("${show[@]}" --systems true)
# shellcheck disable=SC2086  # several names
require_systems $confs $systems

start_count "$(wc -w <<< "$systems")"
for system in $systems; do
  count_off "$system"
  ./run.sh --system "$system" "${PASS[@]}" ||
    { echo "$0: error: $system failed; see above, then run the same command again" >&2; exit 1; }
done
"${show[@]}" --out $exps/TABLE_2.md $exps

curves=()
for system in $systems; do   # of the encoder that each system's configuration says to evaluate
  weights=$(python3 -m sslspk.bin.show_config --conf "$confs/$system.yaml" --weights)
  scores=$exps/$system/scores_${weights%% *}/scores_trials_veri_test2
  [ ! -s "$scores" ] || curves+=("$system=$scores")
done
[ ${#curves[@]} -eq 0 ] || steps/plot_det.sh --trials $data/voxceleb1_test/trials_veri_test2 $exps/table2_det_veri_test2.png "${curves[@]}"
