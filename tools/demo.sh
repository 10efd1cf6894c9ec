#!/usr/bin/env bash
# Sets up the environment, then runs the voxceleb recipe on a corpus that it synthesises: DINO without labels and, for comparison, the same
# encoder trained with labels for the same number of steps, the untrained encoder, and plain statistics. Prints equal error rates.
# usage: bash tools/demo.sh     10 to 15 minutes on two cores; it writes egs/voxceleb/{data_mini,exp_mini}
set -euo pipefail
case ${1:-} in
  "") ;;
  --help|-h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
  *) echo "$0: error: '${1:0:40}' is no option; see $0 --help." >&2; exit 1 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/setup_env.sh
cd egs/voxceleb
nj=$(nproc)
./run.sh --mini true --nj "$nj" --system dino_tdnn --stop-stage 5
./run.sh --mini true --nj "$nj" --system supervised_tdnn --stage 3
echo "tools/demo.sh: the table is egs/voxceleb/exp_mini/RESULTS.md, the DET plot stands beside it"
