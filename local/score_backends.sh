#!/usr/bin/env bash
# Scores lists with all that may follow the embeddings: mean subtraction, AS-norm against means of clusters, LDA and PLDA (on pseudo-labels,
# and on true labels for comparison), and a calibrated fusion. Reads EXP/final.pt (if there), TRAIN (a data directory), DATA/NAME/trials_LIST
# and EXP/emb_W/NAME; writes EXP/{cohort,clusters,backend_*,calibration}/, EXP/scores_W_*/ and EXP/calibration.json, which goes with the model.
set -euo pipefail
cmd=utils/run.pl
cuda_cmd=utils/run.pl
nj=4
ngpu=0
only=              # asnorm: mean subtraction and AS-norm alone, which read no label at all; empty: everything
cohort=conf/cohort.yaml     # how the clusters are found whose means are the cohort of AS-norm
cluster=conf/cluster.yaml   # how pseudo-speakers are found
conf=conf/backend.yaml      # LDA and PLDA
top_n=300          # cohort scores that AS-norm takes
weights=           # which embeddings, EXP/emb_WEIGHTS; empty: those of the encoder that the system's configuration says to evaluate
lists=veri_test2   # names of the lists
true_labels=true   # also LDA and PLDA with TRAIN's speaker labels; their results say so
help_message="usage: $0 [--cmd C] [--cuda-cmd C] [--nj N] [--ngpu N] [--only asnorm] [--cohort conf/cohort.yaml]
       [--cluster conf/cluster.yaml] [--conf conf/backend.yaml] [--top-n 300] [--true-labels false] [--weights W] [--lists 'L ...'] TRAIN DATA EXP"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh; set -f   # what is in a list of names is no pattern
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
[[ -z $only || $only = asnorm ]] || { echo "$0: error: --only takes asnorm, not '$only'" >&2; exit 1; }
train=$1 data=$2 exp=$3

[ -n "$weights" ] || weights=$(python3 -m sslspk.bin.show_config --conf "$exp/config.yaml" --weights)
weights=${weights%% *}   # the first is the system's own choice
dev=$exp/emb_$weights/$(basename "$train") clusters=$exp/clusters calibration=$exp/calibration

[ ! -s "$exp/final.pt" ] ||   # without one (i-vectors) they are there
  steps/extract_embeddings.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" --weights "$weights" "$train" "$exp" "$dev"
make_clusters() { steps/cluster.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu $((ngpu > 0)) --conf "$@"; }
apply() { local/apply_backends.sh --cmd "$cmd" --top-n "$top_n" --weights "$weights" --dev "$dev" --lists "$lists" "$@" "$data" "$exp"; }
make_clusters "$cohort" "$dev" "$exp/cohort"
if [ "$only" = asnorm ]; then apply; exit; fi
make_clusters "$cluster" --truth "$train/utt2spk" "$dev" "$clusters"
kinds=(pseudo); [ "$true_labels" = false ] || kinds+=(speaker)
for kind in "${kinds[@]}"; do
  labels=$clusters/utt2spk; [ "$kind" = pseudo ] || labels=$train/utt2spk
  steps/train_backend.sh --cmd "$cmd" --conf "$conf" --labels "$labels" --label-kind "$kind" "$dev" "$exp/backend_$kind"
done
asnorm=(--mean "$dev" --snorm as --top-n "$top_n" --cohort "$dev" --cohort-label-kind pseudo)

# Calibrations learn from trials between pseudo-speakers that are in no cohort and that no back-end was trained on, since the scores of those
# are too good: every fourth of them is held out, and back-ends of the others score their trials.
mkdir -p "$calibration"
for part in others heldout; do
  awk -v part=$part 'NR == FNR { if (!($2 in place)) place[$2] = n++; next }
                     (place[$2] % 4 == 0) == (part == "heldout")' "$clusters/utt2spk" "$clusters/utt2spk" > "$calibration/.$part"
  cmp -s "$calibration/.$part" "$calibration/$part" || cp "$calibration/.$part" "$calibration/$part"
done
steps/train_backend.sh --cmd "$cmd" --conf "$conf" --labels "$calibration/others" --label-kind pseudo "$dev" "$calibration/backend"
awk 'NR == FNR { kept[$1]; next } $1 in kept' "$calibration/others" "$exp/cohort/utt2spk" > "$calibration/.cohort"
cmp -s "$calibration/.cohort" "$calibration/cohort" || cp "$calibration/.cohort" "$calibration/cohort"
steps/make_trials.sh "$calibration/heldout" "$calibration/trials"
heldout_scores() {
  steps/score.sh --cmd "$cmd" --bootstrap 0 --provenance "$dev/provenance.json" "${@:2}" \
    "$calibration/trials" "$dev" "$dev" "$calibration/$1"
}
heldout_scores cosine
heldout_scores asnorm "${asnorm[@]}" --cohort-utt2spk "$calibration/cohort"
heldout_scores plda --backend plda --model "$calibration/backend"
calibrate() { steps/train_calibration.sh --cmd "$cmd" --label-kind pseudo "$calibration/trials" "$@"; }
calibrate "$calibration"/{asnorm,plda}/scores_trials "$calibration/fusion.json"
[ ! -s "$exp/final.pt" ] || calibrate "$calibration/cosine/scores_trials" "$exp/calibration.json"   # `sslspk compare` finds it there

apply --kinds "${kinds[*]}"
