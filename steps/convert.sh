#!/usr/bin/env bash
# Converts recordings to other speakers' voices by a model of method dsvae or cdsvae: reads a data directory and a model, writes the data
# directory OUT: log-mel (feats.scp), waveforms by Griffin-Lim (wav/, wav.scp), utt2spk (the targets), utt2source and utt2source_spk.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
source=            # utterance to convert, with --target
target=            # speaker of DATA/utt2spk whose voice it gets
pairs=             # table with lines ID SOURCE TARGET, in place of --source and --target
identity=false     # true: each source keeps its own voice (decoded with its own z_s), for scale
iterations=60      # iterations of Griffin-Lim
help_message="usage: $0 [--cmd C] --source UTT --target SPEAKER | --pairs FILE  [--identity true] [--iterations N] DATA MODEL OUT
example: $0 --source id10270-5r0dWxy17C8-00001 --target id10271 data/voxceleb1_test exp/dsvae exp/dsvae/converted"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/models.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
data=$1 model=$(model_word "$2") out=$3

die() { echo "$0: error: $*" >&2; exit 1; }
[ -n "$pairs" ] || { [ -n "$source" ] && [ -n "$target" ]; } || die "give --source and --target, or --pairs FILE."
[ -z "$pairs" ] || [ -z "$source$target" ] || die "--pairs stands for --source and --target; leave one out."
weights=$(model_file "$model")
for file in "$data"/{wav.scp,utt2spk} "$weights" ${pairs:+"$pairs"}; do
  [ -s "$file" ] || die "there is no $file, or it is empty; run the stage that makes it."
done
key="convert $source $target $identity $iterations" inputs=("$data"/{wav.scp,utt2spk} "$weights" ${pairs:+"$pairs"})
if done_skip "$out" "$key" "${inputs[@]}" -- "$out"/{feats.scp,wav.scp,provenance.json}; then
  echo "$0: $out is up to date, skipped"
  exit 0
fi
mkdir -p "$out/log"
[ -n "$pairs" ] || { pairs=$out/pairs; printf '%s-%s %s %s\n' "$target" "$source" "$source" "$target" > "$pairs"; }
launch "$cmd" "$out/log/convert.log" OMP_NUM_THREADS=1 python3 -m sslspk.bin.convert --pairs "$pairs" --identity "$identity" \
  --iterations "$iterations" "$data" "$model" "$out"
done_mark "$out" "$key" "${inputs[@]}"
echo "$0: wrote $(wc -l < "$out/wav.scp") conversions into $out"
