#!/usr/bin/env bash
# Scores lists with all back-ends: mean subtraction, AS-norm against means of clusters, LDA and PLDA (trained on pseudo-labels, and on true
# labels for comparison), and a calibrated fusion. Reads EXP/final.pt (if there), TRAIN (a data directory), DATA/NAME/trials_LIST
# and EXP/emb_W/NAME; writes EXP/{cohort,clusters,backend_*,calibration}/, EXP/scores_W_*/ and EXP/calibration.json, the model's
# calibration.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
cuda_cmd=utils/run.pl  # how jobs on a GPU are started, as --cmd
nj=4               # number of parallel jobs
ngpu=0             # number of GPUs; 0: CPU
only=              # asnorm: mean subtraction and AS-norm alone, which read no label at all; empty: everything
cohort=conf/cohort.yaml     # how the clusters are found whose means are the cohort of AS-norm
cluster=conf/cluster.yaml   # how pseudo-speakers are found
conf=conf/backend.yaml      # YAML of LDA and PLDA
heldout=0.5        # share of the training recordings that calibrations are made on
top_n=300          # cohort scores that AS-norm takes
weights=           # which embeddings, EXP/emb_WEIGHTS; empty: those of the encoder that the system's configuration says to evaluate
lists=veri_test2   # names of the lists
true_labels=true   # also LDA and PLDA with TRAIN's speaker labels; their results say so
help_message="usage: $0 [--cmd C] [--cuda-cmd C] [--nj N] [--ngpu N] [--only asnorm] [--cohort conf/cohort.yaml]
       [--cluster conf/cluster.yaml] [--conf conf/backend.yaml] [--heldout 0.5] [--top-n 300] [--true-labels false] [--weights W]
       [--lists 'L ...'] TRAIN DATA EXP"
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

# Calibrations learn from trials between held-out recordings: no clustering, cohort or back-end that scores these trials has seen them. They
# are whole sessions where TRAIN names them; then a target is of two sessions, since one session's are far too alike. Their pseudo-speakers
# are clusters of their own, back-ends, cohort and mean are of the other recordings.
sessions=; [ ! -s "$train/utt2session" ] || sessions=$train/utt2session
local/hold_out.py --share "$heldout" ${sessions:+--utt2session "$sessions"} "$dev" "$calibration/embeddings"
others=$calibration/embeddings/others/$(basename "$dev") apart=$calibration/embeddings/heldout/$(basename "$dev")
make_clusters "$cluster" "$others" "$calibration/clusters_others"
make_clusters "$cohort" "$others" "$calibration/cohort_others"
make_clusters "$cluster" "$apart" "$calibration/clusters_heldout"
steps/train_backend.sh --cmd "$cmd" --conf "$conf" --labels "$calibration/clusters_others/utt2spk" --label-kind pseudo "$others" \
  "$calibration/backend"
steps/make_trials.sh --cmd "$cmd" ${sessions:+--utt2session "$sessions"} "$calibration/clusters_heldout/utt2spk" "$calibration/trials"
score_apart() { steps/score.sh --cmd "$cmd" --bootstrap 0 "${@:2}" "$calibration/trials" "$apart" "$apart" "$calibration/$1"; }
score_apart cosine
score_apart asnorm --mean "$others" --snorm as --top-n "$top_n" --cohort "$others" --cohort-utt2spk "$calibration/cohort_others/utt2spk" \
  --cohort-label-kind pseudo
score_apart plda --backend plda --model "$calibration/backend"
made_on="recordings held out of $(basename "$train")"
calibrate() { steps/train_calibration.sh --cmd "$cmd" --label-kind pseudo --made-on "$made_on" "$calibration/trials" "$@"; }
calibrate "$calibration"/{asnorm,plda}/scores_trials "$calibration/fusion.json"
calibrate "$calibration/cosine/scores_trials" "$calibration/cosine.json"
[ ! -s "$exp/final.pt" ] || cmp -s "$calibration/cosine.json" "$exp/calibration.json" ||   # where sslspk.load finds it
  cp "$calibration/cosine.json" "$exp/calibration.json"

apply --kinds "${kinds[*]}"
