#!/usr/bin/env bash
# From nothing to an equal error rate: sets up the environment, then runs the voxceleb recipe on a corpus that it makes:
# DINO without labels, and for scale the same encoder trained with labels for as long, beside the untrained encoder and statistics.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/setup_env.sh
cd egs/voxceleb
nj=$(nproc)
./run.sh --mini true --nj "$nj" --system dino_tdnn --stop-stage 5
./run.sh --mini true --nj "$nj" --system supervised_tdnn --stage 3
echo "tools/demo.sh: the table is egs/voxceleb/exp_mini/RESULTS.md, the DET plot stands beside it"
