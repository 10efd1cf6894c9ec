#!/usr/bin/env bash
# Scores lists with the back-ends that a system has: mean subtraction, AS-norm, LDA, PLDA, the calibrated cosine and a calibrated fusion.
# Reads what local/score_backends.sh trained, EXP/{cohort,backend_*,calibration}/ and the embeddings of the training data, EXP/emb_W/NAME of
# DATA/NAME/trials_LIST and its cosine scores; writes EXP/scores_W_*/{scores,result}_trials_LIST.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
top_n=300          # cohort scores that AS-norm takes
weights=           # which embeddings, EXP/emb_WEIGHTS; empty: those that the back-ends were trained on
lists=veri_test2   # names of the lists
dev=               # the embeddings that the back-ends were trained on; empty: as EXP/cohort says
kinds=             # labels that LDA and PLDA were trained on, some of "pseudo speaker"; empty: those that are there
help_message="usage: $0 [--cmd C] [--top-n 300] [--weights W] [--lists 'L ...'] [--dev DIR] [--kinds 'K ...'] DATA EXP"
. "$(dirname "$0")/../utils/environment.sh"
. utils/scoring.sh
. utils/parse_options.sh; set -f   # what is in a list of names is no pattern
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
data=$1 exp=$2 cohort=$2/cohort
[ -d "$cohort" ] || cohort=$exp/clusters   # of before AS-norm had a cohort of its own

die() { echo "$0: error: $*" >&2; exit 1; }
[ -n "$dev" ] || dev=$(sed -n 's/^ *"embeddings": "\(.*\)",$/\1/p' "$cohort/info.json")
[ -s "$dev/xvector.scp" ] || die "there are no embeddings $dev, of which $cohort was made; run stage 6 again."
emb_dir=$(dirname "$dev"); : "${weights:=${emb_dir##*/emb_}}"
[ -n "$kinds" ] || for kind in pseudo speaker; do [ ! -f "$exp/backend_$kind/info.json" ] || kinds+=" $kind"; done
out=$exp/scores_$weights
asnorm=(--mean "$dev" --snorm as --top-n "$top_n" --cohort "$dev" --cohort-utt2spk "$cohort/utt2spk" --cohort-label-kind pseudo)

for list in $lists; do
  trials=$(local/find_trials.sh "$data" "$list")
  scoring_of "$trials" "$exp" "$weights"
  score() { steps/score.sh --cmd "$cmd" "${of[@]}" "${@:2}" "$trials" "$emb" "$emb" "${out}_$1"; }
  score mean --mean "$dev"
  score asnorm "${asnorm[@]}"
  for kind in $kinds; do
    for backend in lda plda; do score "${backend}_$kind" --backend "$backend" --model "$exp/backend_$kind"; done
  done
  [ ! -s "$exp/calibration/fusion.json" ] || steps/apply_calibration.sh --cmd "$cmd" "${of[@]}" "$exp/calibration/fusion.json" "$trials" \
    "${out}"_{asnorm,plda_pseudo}/scores_"trials_$list" "${out}_fusion"
  [ ! -s "$exp/calibration/cosine.json" ] || steps/apply_calibration.sh --cmd "$cmd" "${of[@]}" "$exp/calibration/cosine.json" "$trials" \
    "$out/scores_trials_$list" "${out}_calibrated"
done
