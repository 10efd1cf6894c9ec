#!/usr/bin/env bash
# Draws embeddings of a few labels in two dimensions, by PCA and t-SNE: reads EMB_DIR/xvector.scp, writes OUT/embeddings.{png,tsv}.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
labels=          # utterance -> label, which gives the colour, such as data/X/utt2spk
num_labels=6     # number of labels to draw, chosen at random; 10 at most
per_label=50     # utterances to draw of each label at most, chosen at random
perplexity=30    # perplexity of t-SNE
seed=0           # seed of the random choice and of t-SNE
title=           # title of the picture
help_message="usage: $0 [--cmd C] --labels TABLE [--num-labels N] [--per-label N] [--perplexity P] [--seed S] [--title T] EMB_DIR OUT"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
emb=$1 out=$2

die() { echo "$0: error: $*" >&2; exit 1; }
[ -n "$labels" ] || die "--labels is needed; give a table such as data/X/utt2spk."
inputs=("$labels" "$emb/xvector.scp")
for file in "${inputs[@]}"; do
  [ -f "$file" ] && [ -s "$file" ] || die "there is no file $file, or it is empty; run the stage that makes it."
done
options=(--labels "$labels" --num-labels "$num_labels" --per-label "$per_label" --perplexity "$perplexity" --seed "$seed")
[ -z "$title" ] || options+=("--title=$title")
key="plot_embeddings ${options[*]@Q}" outputs=("$out"/embeddings.{png,tsv})
if done_skip "$out" "$key" "${inputs[@]}" -- "${outputs[@]}"; then echo "$0: $out is up to date, skipped"; exit 0; fi

mkdir -p "$out/log"
log=$out/log/plot_embeddings.log
launch "$cmd" "$log" python3 -m sslspk.bin.plot_embeddings "${options[@]}" "$emb" "$out"
[ -s "$out/embeddings.png" ] && [ -s "$out/embeddings.tsv" ] || die "the picture did not come out; see $log."
done_mark "$out" "$key" "${inputs[@]}"
echo "$0: wrote ${outputs[*]}"
