#!/usr/bin/env bash
# EER of DINO over K, the number of its prototypes (Figure 3 of Zhang & Yu 2022, whose sizes these are; their best is 3.3 %).
#   ./run_k_sweep.sh --voxceleb1 /corpora/VoxCeleb1 --voxceleb2 /corpora/VoxCeleb2 --musan ... --rirs ... --ngpu 4 --nj 32
#   ./run_k_sweep.sh --mini true --sizes "512 1024 2048 4096"
# Finished parts are kept when a system fails or the script is stopped: the same command resumes.
set -euo pipefail
sizes="6000 10000 20000 30000 40000 50000 60000 65536 98304 131072"   # values of K
system=            # empty: dino_ecapa, with --mini true dino_tdnn
key=method.out_dim # where the system's configuration says K, e.g. method.dino.out_dim for moco+dino
mini=false         # true: on the synthetic corpus
PASS=()            # all other options are those of run_sweep.sh
help_message="usage: $0 [--sizes 'K ...'] [--system NAME] [--mini true] [options of run.sh and run_sweep.sh]"
. "$(dirname "$0")/path.sh"
. utils/parse_options.sh
set -f   # a name with * or ? in it is no pattern
[ $# -eq 0 ] || { echo "$0: error: '$1' is no option; see $0 --help" >&2; exit 1; }
: "${system:=$([ "$mini" = true ] && echo dino_tdnn || echo dino_ecapa)}"
exps=exp
[ "$mini" = false ] || exps=exp_mini
./run_sweep.sh --system "$system" --mini "$mini" --over "k:$key=$sizes" "${PASS[@]}" ||
  { echo "$0: error: the sweep failed; see above, then run the same command again" >&2; exit 1; }
local/show_k_sweep.py --system "$system" --out "$exps/K_SWEEP_$system.md" --plot "$exps/k_sweep_$system.png" $exps
