#!/usr/bin/env bash
# DSVAE and C-DSVAE with each kind of labels, next to the papers' figures: phonemes, equal error rates of both latents, conversion.
#   ./run_table5.sh --voxceleb1 /corpora/VoxCeleb1 --musan /corpora/musan --phones phones.txt --ngpu 4
#   ./run_table5.sh --short true --voxceleb1 ... --seeds "0 1 2"      small models, minutes of two cores each
# --frame-model MODEL adds C-DSVAE with the clusters of that model's frames. All other options are those of run.sh.
set -euo pipefail
short=false        # true: the systems of a few minutes (conf/*_short.yaml)
mini=false         # true: on the corpus that is synthesised here
frame_model=       # final.pt with frames, for cdsvae_frames
mp=false           # true: also cdsvae_align with masked prediction
PASS=()            # all other options are those of run.sh
help_message="usage: $0 [--short true] [--mini true] [--frame-model MODEL] [--mp true] [options of run.sh]"
. "$(dirname "$0")/path.sh"
. utils/parse_options.sh
set -f   # a name with * or ? in it is no pattern
[ $# -eq 0 ] || { echo "$0: error: '$1' is no option; see $0 --help" >&2; exit 1; }
[ "$mini" = false ] || [ "$short" = false ] || { echo "$0: error: --mini has small systems of its own; leave --short out" >&2; exit 1; }
names=(dsvae cdsvae_bestrq cdsvae_mel cdsvae_align) suffix=
[ "$short" = false ] || suffix=_short
if [ -n "$frame_model" ]; then
  names+=(cdsvae_frames)
  PASS+=(--frame-model "$frame_model")
fi
[ "$mp" = false ] || names+=(cdsvae_align_mp)
./run.sh --systems "${names[*]/%/"$suffix"}" --mini "$mini" "${PASS[@]}"
