#!/usr/bin/env bash
# Accepts or refuses a round of pseudo-labels, without labels: reads embeddings of the best model so far and of the round's model
# (xvector.scp), both of crops of recordings that were held out of the round, writes OUT/verdict.json.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
help_message="usage: $0 [--cmd C] CROP2UTT EMB_BEFORE EMB_AFTER OUT
CROP2UTT is utt2spk of a directory that utils/cut_data_dir.sh --ends made."
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 4 ] || { echo "$help_message" >&2; exit 1; }
utterances=$1 before=$2 after=$3 out=$4

die() { echo "$0: error: $*" >&2; exit 1; }
inputs=("$utterances" "$before"/{xvector.scp,provenance.json} "$after"/{xvector.scp,provenance.json})
for file in "${inputs[@]}"; do
  [ -s "$file" ] || die "there is no $file, or it is empty; run the stage that makes it."
done
if done_skip "$out" judge_round "${inputs[@]}" -- "$out/verdict.json"; then echo "$0: $out is up to date, skipped"; exit 0; fi

mkdir -p "$out/log"
log=$out/log/judge_round.log
launch "$cmd" "$log" python3 -m sslspk.bin.judge_round "$utterances" "$before" "$after" "$out/verdict.json"
done_mark "$out" judge_round "${inputs[@]}"
grep -E "^(accepted|refused)" "$log"
echo "$0: wrote $out/verdict.json"
