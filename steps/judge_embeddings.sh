#!/usr/bin/env bash
# Judges embeddings without speaker labels: reads EMB_DIR/xvector.scp, embeddings of crops of recordings, writes OUT/result.json.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
recordings=   # utterance -> recording, where several crops are from one; empty: each utterance is a recording
help_message="usage: $0 [--cmd C] [--recordings TABLE] CROP2UTT EMB_DIR OUT
CROP2UTT is utt2spk of a directory that utils/cut_data_dir.sh --ends made."
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
utterances=$1 emb=$2 out=$3

die() { echo "$0: error: $*" >&2; exit 1; }
inputs=("$utterances" ${recordings:+"$recordings"} "$emb/xvector.scp" "$emb/provenance.json")
for file in "${inputs[@]}"; do
  [ -s "$file" ] || die "there is no $file, or it is empty; run the stage that makes it."
done
if done_skip "$out" "judge_embeddings $recordings" "${inputs[@]}" -- "$out/result.json"; then echo "$0: $out is up to date, skipped"; exit 0; fi

mkdir -p "$out/log"
log=$out/log/judge_embeddings.log
launch "$cmd" "$log" python3 -m sslspk.bin.judge_embeddings ${recordings:+--recordings "$recordings"} "$utterances" "$emb" "$out/result.json"
done_mark "$out" "judge_embeddings $recordings" "${inputs[@]}"
grep "^same recording" "$log"
echo "$0: wrote $out/result.json"
