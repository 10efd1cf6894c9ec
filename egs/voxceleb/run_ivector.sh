#!/usr/bin/env bash
# The i-vector baseline (Table 3 of Zhang & Yu 2022: 15.3 %), without labels or a GPU; its clusters are a start for rounds of training.
#   ./run_ivector.sh --voxceleb1 /corpora/VoxCeleb1 --voxceleb2 /corpora/VoxCeleb2 --nj 32
#   ./run_ivector.sh --mini true --backends true
#   ./run_ivector.sh --test my/data --trials my_trials.txt     the trained system on data of your own; no corpus is needed
# Stages, as of run.sh: 0 prepare, 1 audio, 3 train and embed, 5 scores, 6 clusters and back-ends, 8 RESULTS.md
# Then, for instance: ./run.sh --system dino_ecapa ... --rounds 3 --round-options="--first-clusters exp/ivector_mfcc/clusters"
set -euo pipefail
system=ivector_mfcc # a conf/NAME.yaml; with --mini true a conf/mini/NAME.yaml. ivector_short: for a small corpus
ngpu=0              # GPUs for the clusters' k-means; 0: CPU
nj=2                # parallel jobs
cmd=                # where jobs run; empty: as cmd.sh says
voxceleb1=          # folder with dev/ test/ vox1_meta.csv veri_test2.txt
voxceleb2=         # folder with dev/ vox2_meta.csv; makes VoxCeleb2 dev the training set
musan=              # folder with noise/ speech/ music/, prepared for later stages of run.sh; no noise is added for i-vectors
rirs=              # folder RIRS_NOISES, prepared likewise
train=             # voxceleb1 | voxceleb2; empty: VoxCeleb2 when given, else VoxCeleb1
lists="veri_test2"  # trial lists
test=               # data directory of your own to score the trained system on; only reads it
trials=            # trial list for --test; empty: one is drawn from the directory's utt2spk
mini=false          # true: on the synthetic corpus
synth=              # for the synthesiser
speakers=           # train on that many speakers only
hours=              # train on that many hours only
stage=0             # first stage to run
stop_stage=8        # last stage to run
cluster_conf=       # how i-vectors are clustered; empty: cluster.yaml of the size of the system
work=               # as for run.sh
tag=                # suffix of the experiment's name
set=()              # overrides of the configuration, e.g. --set ivector_dim=100
backends=false      # true: score with AS-norm, LDA, PLDA and a fusion of them as well
asnorm=false        # true: score with AS-norm alone, which reads no label
help_message="usage: $0 [--system ivector_mfcc] [--nj N] [--mini true] [--voxceleb1 DIR] [--voxceleb2 DIR] [--backends true] ..."
. "$(dirname "$0")/path.sh"
. ./cmd.sh
. utils/parse_options.sh
set -f   # a name with * or ? in it is no pattern
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -eq 0 ] || die "'$1' is no option; see $0 --help"
[ -z "$cmd" ] || train_cmd=$cmd cuda_cmd=$cmd
confs=conf data=${work:+$work/}data exps=${work:+$work/}exp any=simclr_ecapa size=
[[ $system != *_short ]] || size=_short
if [ "$mini" = true ]; then
  confs=conf/mini data=${data}_mini exps=${exps}_mini any=simclr_tdnn
fi
[ -f "$confs/$system.yaml" ] || die "there is no $confs/$system.yaml; see conf/ivector_*.yaml"
train=${train:-${voxceleb2:+voxceleb2}}
: "${train:=voxceleb1}"
part=${speakers:+_spk$speakers}${hours:+_${hours}h}
exp=$exps/$system$part${tag:+_$tag}
# shellcheck disable=SC2154  # cmd.sh
[ -z "$test$trials" ] || exec local/test_system.sh --cmd "$train_cmd" --cuda-cmd "$cuda_cmd" --nj "$nj" --trials "$trials" "$test" "$data" "$exp"
dev=$data/${train}_dev
[ -z "$part" ] || dev=$data/${train}_dev_packed$part
[[ $stage =~ ^[0-9]$ && $stop_stage =~ ^[0-9]$ ]] || die "--stage and --stop-stage take a number from 0 to 9"
to_do() { [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ]; }

[ "$stage" -gt 1 ] ||
  ./run.sh --work "$work" --system $any --nj "$nj" --cmd="$cmd" --train "$train" --voxceleb1 "$voxceleb1" --voxceleb2 "$voxceleb2" --lists "$lists" \
    --musan "$musan" --rirs "$rirs" --speakers "$speakers" --hours "$hours" --mini "$mini" --synth="$synth" \
    --stage "$stage" --stop-stage $((stop_stage < 1 ? stop_stage : 1))

if to_do 3; then
  tests=()
  for list in $lists; do
    test=$(local/find_trials.sh "$data" "$list") test=$(dirname "$test")
    [[ " ${tests[*]} " == *" $test "* ]] || tests+=("$test")
  done
  local/ivector_system.sh --cmd "$train_cmd" --nj "$nj" --conf "$confs/$system.yaml" "${set[@]/#/--set=}" "$dev" "$exp" "${tests[@]}"
fi

if to_do 5; then
  local/score_system.sh --cmd "$train_cmd" --lists "$lists" --weights ivector "$data" "$exp"
fi

if to_do 6; then
  : "${cluster_conf:=$confs/cluster$size.yaml}"
  steps/cluster.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu "$((ngpu > 0))" --conf "$cluster_conf" \
    --truth "$dev/utt2spk" "$exp/emb_ivector/$(basename "$dev")" "$exp/clusters"
  only=asnorm
  [ "$backends" = false ] || only=
  [[ $backends$asnorm = falsefalse ]] ||
    local/score_backends.sh --cmd "$train_cmd" --cuda-cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" --weights ivector \
      --cluster "$cluster_conf" --conf "$confs/backend$size.yaml" --cohort "$confs/cohort$size.yaml" \
      --only "$only" --lists "$lists" "$dev" "$data" "$exp"
fi

if to_do 8; then
  python3 local/show_table.py --out "$exps/RESULTS.md" --det "$exps/det" --data "$data" "$exps"
fi
