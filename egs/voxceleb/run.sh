#!/usr/bin/env bash
# From wav to EER on VoxCeleb: trains one system and scores it, next to the untrained network and plain statistics.
#   ./run.sh --mini true                      the same stages on a corpus that is synthesised here (two minutes, no download)
#   ./run.sh --system dino_ecapa --voxceleb1 /corpora/VoxCeleb1 --voxceleb2 /corpora/VoxCeleb2 --ngpu 4 --nj 32
#   ./run.sh --system dino_ecapa --test my/data --trials my_trials.txt     the trained system on data of your own; no corpus is needed
# Stages: 0 prepare, 1 features, audio, 2 augmentation, 3 train, 4 embeddings, 5 scores, 6 back-ends, 7 pseudo-labels, 8 RESULTS.md
set -euo pipefail
system=dino_ecapa   # a conf/NAME.yaml; with --mini true a conf/mini/NAME.yaml
stage=0             # first stage to run
stop_stage=8        # last stage to run
ngpu=0              # GPUs for training and extraction; 0: CPU
nodes=1             # machines for training, each with --ngpu GPUs
requeue=false       # true: a training that the scheduler stops (time limit, preemption) saves and goes back into the queue
nj=2                # parallel jobs for everything else
cmd=                # where jobs run; empty: as cmd.sh says
voxceleb1=          # folder with dev/ test/ vox1_meta.csv veri_test2.txt
voxceleb2=          # folder with dev/ vox2_meta.csv; makes VoxCeleb2 dev the training set
musan=              # folder with noise/ speech/ music/; without it no noise is added
rirs=               # folder RIRS_NOISES; without it no reverberation is added
train=              # voxceleb1 | voxceleb2; empty: VoxCeleb2 when given, else VoxCeleb1
input=wave          # wave: train on audio, noise is added while training; feats: train on features on disk, noisy copies are made first
lists="veri_test2"  # trial lists, without extension, e.g. "veri_test2 list_test_all2 list_test_hard2"
test=               # score the trained system on this data directory of yours, with its back-ends; runs no stage, only reads the directory
trials=             # the list for --test; empty: one is drawn from the directory's utt2spk
mini=false          # true: synthesise the corpora, small models
synth=              # for the synthesiser, e.g. --synth="--speakers 8 --utts 2" (see tools/make_synth_corpus.py --help)
speakers=           # train on so many speakers, drawn at random; a larger draw contains the smaller ones
hours=              # train on so many hours, drawn at random
init_from=          # start from this model and take its encoder and features: final.pt of any recipe, or "ARCH CHECKPOINT"
asnorm=false        # true: stage 6 scores only with AS-norm, without labels: its cohort is the means of clusters
backends=false      # true: stage 6 scores with AS-norm, LDA, PLDA and a fusion, trained on pseudo-labels and, marked, on true labels
rounds=0            # stage 7: rounds of clustering and training on the clusters; each is judged without labels, the best model is kept
bootstrap=          # ivector: take the first round's clusters from i-vectors; empty: from the system's own embeddings
round_options=      # more for local/train_rounds.sh, e.g. --round-options="--conf conf/rounds/lgl.yaml --gates 1,3,3,5,6"
cluster_conf=       # configuration of the clustering; empty: conf/cluster.yaml, or the one for --mini or *_short systems
tag=                # suffix of the experiment's name, for variants of a system
work=               # folder for data and experiments; empty: here
set=()              # overrides of the configuration, e.g. --set train.epochs=20
help_message="usage: $0 [--system NAME] [--stage N] [--stop-stage N] [--ngpu N] [--nj N] [--mini true] [--voxceleb1 DIR] ..."
. "$(dirname "$0")/path.sh"
. ./cmd.sh
. utils/parse_options.sh
. utils/models.sh
. utils/stages.sh
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -eq 0 ] || die "'$1' is no option; see $0 --help"
[ -z "$speakers" ] || [ -z "$hours" ] || die "--speakers and --hours are two ways to choose a part; give one"
[ "$input" = wave ] || { [ "$backends" = false ] && [ "$asnorm" = false ] && [ "$rounds" = 0 ]; } ||
  die "--backends, --asnorm and --rounds embed the training audio; use --input wave"
[ -z "$cmd" ] || train_cmd=$cmd cuda_cmd=$cmd
model_require "$init_from"
[[ ${bootstrap:-ivector} = ivector ]] || die "--bootstrap takes ivector"

# Where everything is.
conf=conf/$system.yaml data=${work:+$work/}data exps=${work:+$work/}exp paper=conf/paper.yaml
if [ "$mini" = true ]; then
  conf=conf/mini/$system.yaml data=${data}_mini exps=${exps}_mini corpora=$data/corpora paper=
  : "${voxceleb1:=$corpora/VoxCeleb1}" "${musan:=$corpora/musan}" "${rirs:=$corpora/RIRS_NOISES}"
  if [ "$train" = voxceleb2 ]; then
    : "${voxceleb2:=$corpora/VoxCeleb2}"
  fi
fi
[ -f "$conf" ] || die "there is no ${conf:0:80}; see ls ${conf%/*}/*.yaml"
train=${train:-${voxceleb2:+voxceleb2}}
: "${train:=voxceleb1}"
[[ $train = voxceleb[12] ]] || die "--train takes voxceleb1 or voxceleb2, not '$train'"
home() {  # LIST: the data directory with its utterances
  case $1 in list_test*|voxsrc*) echo voxceleb1 ;; *) echo voxceleb1_test ;; esac
}
set -f   # a name with * or ? in it is no pattern
tests=()
for list in $lists; do
  [ "$train" = voxceleb2 ] || [ "$(home "$list")" = voxceleb1_test ] ||
    die "--lists $list holds trials between VoxCeleb1's training speakers; train on VoxCeleb2 (--voxceleb2) for it"
  [[ " ${tests[*]} " == *" $data/$(home "$list") "* ]] || tests+=("$data/$(home "$list")")
done
confs=${conf%/*} size=   # which confs the later stages take
[[ $system != *_short ]] || size=_short
: "${cluster_conf:=$confs/cluster$size.yaml}"

# What the system's configuration says.
overrides=()
for item in "${set[@]}"; do
  overrides+=(--set "$item")
done
said=$(python3 -m sslspk.bin.show_config --conf "$conf" ${init_from:+--encoder-of "$init_from"} --set "data.input=$input" "${overrides[@]}" \
  --weights --chain vad)
{ read -r weights; read -r chain; read -r vad; } <<< "$said"
machines=(--nodes "$nodes" --requeue "$requeue")
start=${init_from:+_from_$(model_name "$init_from")}
part=${speakers:+_spk$speakers}${hours:+_${hours}h}
train_data=$data/${train}_dev
exp=$exps/$system$start$part${tag:+_$tag}
whole=${train_data}_packed
[ "$vad" = false ] || whole=${train_data}_vad
packed=$whole$part
own=${packed}_${exp##*/}
jobs=(--cuda-cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu")
[ -z "$test$trials" ] || exec local/test_system.sh --cmd "$train_cmd" "${jobs[@]}" --trials "$trials" "$test" "$data" "$exp"

if at_stage 0 "prepare"; then
  # shellcheck disable=SC2086  # --synth holds several words
  [ "$mini" = false ] || python3 "$SSLSPK_ROOT/tools/make_synth_corpus.py" --nj "$nj" \
    --voxceleb2 "$([ "$train" = voxceleb2 ] && echo true || echo false)" $synth "$corpora"
  [ -n "$voxceleb1" ] || die "--voxceleb1 names no folder; give VoxCeleb1's, or try --mini true"
  local/prepare_voxceleb1.py --nj "$nj" "$voxceleb1" "$data"
  [ -z "$voxceleb2" ] || local/prepare_voxceleb2.py --nj "$nj" "$voxceleb2" "$data"
  [ -z "$musan" ] || local/prepare_musan.py --nj "$nj" "$musan" "$data"
  [ -z "$rirs" ] || local/prepare_rirs.py --nj "$nj" "$rirs" "$data"
fi

if at_stage 1 "features, audio"; then
  for dir in "${tests[@]}"; do
    steps/make_feats.sh --cmd "$train_cmd" --nj "$nj" --conf conf/fbank.yaml "$dir"
    steps/compute_vad.sh --cmd "$train_cmd" --nj "$nj" "$dir"
    [ "$vad" = false ] || steps/pack_audio.sh --cmd "$train_cmd" --nj "$nj" --vad true "$dir" "${dir}_vad"
  done
  [ "$vad" = false ] || steps/compute_vad.sh --cmd "$train_cmd" --nj "$nj" "$train_data"
  steps/pack_audio.sh --cmd "$train_cmd" --nj "$nj" --vad "$vad" "$train_data" "$whole"
  [ -z "$part" ] || utils/subset_data_dir.sh ${speakers:+--num-speakers "$speakers"} ${hours:+--hours "$hours"} "$whole" "$packed"
fi

if at_stage 2 "augmentation"; then
  steps/make_augment_lists.sh --cmd "$train_cmd" --nj "$nj" "$data" "$data/augment"
  [ "$input" = wave ] ||
    local/make_noisy_feats.sh --cmd "$train_cmd" --nj "$nj" --conf "$conf" "${overrides[@]}" "$packed" "$data/augment" "$own"
fi
noises=() from=$packed
[ "$input" = wave ] || from=$own
# With --input wave noise is added while training.
[ "$input" = feats ] || [ ! -f "$data/augment/.done" ] || noises=(--common "augment.dir=$data/augment")

if at_stage 3 "train"; then
  local/train_system.sh --cuda-cmd "$cuda_cmd" --ngpu "$ngpu" "${machines[@]}" --conf "$conf" --chain "$chain" --common "data.input=$input" \
    "${noises[@]}" "${overrides[@]}" --init-from "$init_from" --part "$start$part" "$from" "$exp"
fi

if at_stage 4 "embeddings"; then
  for dir in "${tests[@]}"; do
    steps/extract_statistics.sh --cmd "$train_cmd" "$dir" "$train_data" "$exps/statistics/${dir##*/}"
  done
  local/extract_system.sh "${jobs[@]}" --vad "$vad" --weights "$weights untrained" "$exp" "${tests[@]}"
fi

if at_stage 5 "scores"; then
  local/score_system.sh --cmd "$train_cmd" --lists "$lists" --weights "$weights untrained" "$data" "$exp"
  local/score_system.sh --cmd "$train_cmd" --lists "$lists" --weights "raw standardised deviation" "$data" "$exps/statistics"
fi

if { [ "$backends" = true ] || [ "$asnorm" = true ]; } && at_stage 6 "back-ends"; then
  only=asnorm
  [ "$backends" = false ] || only=
  local/score_backends.sh --cmd "$train_cmd" "${jobs[@]}" --cluster "$cluster_conf" --conf "$confs/backend$size.yaml" \
    --cohort "$confs/cohort$size.yaml" --only "$only" --lists "$lists" "$packed" "$data" "$exp"
fi

if [ "$rounds" -gt 0 ] && at_stage 7 "pseudo-labels"; then
  # shellcheck disable=SC2086  # --round-options holds several words
  local/train_rounds.sh "${jobs[@]}" "${machines[@]}" --cluster "$cluster_conf" --rounds "$rounds" \
    ${bootstrap:+--ivectors "$confs/ivector${size:-_mfcc}.yaml"} --conf "$confs/rounds/pseudo$size.yaml" $round_options "$from" "$exp"
  mapfile -t trained_rounds < "$exp/rounds.list"
  for trained in "${trained_rounds[@]}"; do
    local/extract_system.sh "${jobs[@]}" --vad "$vad" --weights encoder "$trained" "${tests[@]}"
    local/score_system.sh --cmd "$train_cmd" --lists "$lists" --weights encoder "$data" "$trained"
  done
fi

if at_stage 8 "RESULTS.md"; then
  python3 local/show_table.py ${paper:+--paper $paper} --out "$exps/RESULTS.md" --det "$exps/det" --data "$data" "$exps"
fi
