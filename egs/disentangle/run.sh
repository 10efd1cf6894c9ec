#!/usr/bin/env bash
# DSVAE and C-DSVAE, which separate speaker and content, on a corpus in VoxCeleb1's layout. Measures the equal error rate of the speaker
# latent and of the mean content latent, the accuracy of phonemes from the content frames, and voice conversion.
#   ./run.sh --mini true                                    the same stages on a corpus that is synthesised here, whose phones are known
#   ./run.sh --systems "dsvae_short cdsvae_mel_short" --voxceleb1 /corpora/VoxCeleb1 --musan /corpora/musan
# Stages: 0 prepare, 1 audio and log-mel, 2 labels of frames, 3 train, 4 embeddings and frames, 5 speakers, 6 phonemes,
# 7 conversion, 8 RESULTS.md
set -euo pipefail
systems=            # conf/NAME.yaml each; empty: dsvae, with --mini true "dsvae cdsvae_align"
seeds=0             # e.g. "0 1 2": everything is trained with each
stage=0             # first stage to run
stop_stage=8        # last stage to run
ngpu=0              # GPUs for training and extraction; 0: CPU
nj=2                # parallel jobs for everything else
cmd=                # where jobs run; empty: as cmd.sh says
voxceleb1=          # folder with dev/ and test/ of speakers, vox1_meta.csv, veri_test2.txt
musan=              # folder with noise/ speech/ music/; without it no noise is added to the encoder's input
rirs=               # folder RIRS_NOISES; without it no reverberation is added
phones=             # folder with ali.scp and ali.json, or a table `utt phone phone ...` to align; empty: VOXCELEB1/phones, if there is one
frame_model=        # final.pt of any model with frames; clusters of its frames are the labels of cdsvae_frames
ignore=             # phones to leave out of the phoneme classification, such as sil
classes=50          # number of classes of the computed labels (mel, bestrq, frames)
num_pairs=200       # number of conversions; 0: none
judge=              # final.pt of the verification model that judges them; empty: one is trained (conf/judge.yaml)
judge_set=()        # overrides of its training
mini=false          # true: synthesise the corpora, small models
synth=              # for the synthesiser, e.g. --synth="--speakers 8 --utts 2" (see tools/make_synth_corpus.py --help)
data=               # empty: data, with --mini true data_mini
exps=               # empty: exp, with --mini true exp_mini
tag=                # suffix of the experiments' names, for variants
set=()              # overrides of the training, e.g. --set method.beta=20
help_message="usage: $0 [--systems 'A B ...'] [--seeds '0 1 2'] [--stage N] [--ngpu N] [--nj N] [--mini true] [--voxceleb1 DIR] ..."
. "$(dirname "$0")/path.sh"
. ./cmd.sh
. utils/parse_options.sh
. utils/stages.sh
. utils/models.sh
set -f   # a name with * or ? in it is no pattern
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -eq 0 ] || die "'$1' is no option; see $0 --help"
[ -z "$cmd" ] || train_cmd=$cmd cuda_cmd=$cmd
for option in voxceleb1 musan rirs phones; do
  [ -z "${!option}" ] || [ -e "${!option}" ] || die "there is no '${!option:0:60}'; check --$option"
done
for option in frame_model judge; do
  file=$(model_file "${!option}")
  [ -z "$file" ] || [ -s "$file" ] || die "there is no model '${file:0:60}'; check --${option//_/-}"
done
[ ! -d "$phones" ] || [ -s "$phones/ali.json" ] || die "${phones:0:60} has no ali.json; --phones takes labels of frames, or a table"
confs=conf
if [ "$mini" = true ]; then
  : "${data:=data_mini}" "${exps:=exp_mini}" "${systems:=dsvae cdsvae_align}"
  confs=conf/mini corpora=$data/corpora
  : "${voxceleb1:=$corpora/VoxCeleb1}" "${musan:=$corpora/musan}"
fi
: "${data:=data}" "${exps:=exp}" "${systems:=dsvae}"
[[ $seeds =~ ^[0-9]{1,9}(\ +[0-9]{1,9})*$ ]] || die "--seeds takes whole numbers, not '${seeds:0:40}'"
[[ $num_pairs =~ ^[0-9]{1,9}$ ]] || die "--num-pairs takes a whole number, not '${num_pairs:0:20}'"
runs=() tab=$'\t'   # SYSTEM, SEED, EXP
for system in $systems; do
  [ -f "$confs/$system.yaml" ] || die "there is no $confs/${system:0:60}.yaml; see ls $confs/*.yaml"
  for seed in $seeds; do
    suffix=
    [ "$seed" = 0 ] || suffix=_seed$seed
    runs+=("$system$tab$seed$tab$exps/$system${tag:+_$tag}$suffix")
  done
done
jobs=(--cmd "$train_cmd" --nj "$nj") dev=$data/voxceleb1_dev test=$data/voxceleb1_test labels=$exps/labels list=veri_test2
train=${dev}_packed   # what is trained on, labels and recogniser too
wants() { [[ " $systems " = *" $1"* ]]; }   # NAME: whether a system begins with it
[ "$stage" -gt 2 ] || [ -n "$frame_model" ] || ! wants cdsvae_frames || die "cdsvae_frames needs a model of frames; give --frame-model"

if at_stage 0 "prepare"; then
  # shellcheck disable=SC2086  # --synth holds several words
  [ "$mini" = false ] || python3 "$SSLSPK_ROOT/tools/make_synth_corpus.py" --nj "$nj" --only "voxceleb1 musan" $synth "$corpora"
  [ -n "$voxceleb1" ] || die "--voxceleb1 names no folder; give VoxCeleb1's, or try --mini true"
  local/prepare_voxceleb1.py --nj "$nj" "$voxceleb1" "$data"
  [ -z "$musan" ] || local/prepare_musan.py --nj "$nj" "$musan" "$data"
  [ -z "$rirs" ] || local/prepare_rirs.py --nj "$nj" "$rirs" "$data"
fi

if at_stage 1 "audio and log-mel"; then
  steps/pack_audio.sh "${jobs[@]}" "$dev" "$train"
  for part in "$train" "$test"; do
    steps/make_feats.sh "${jobs[@]}" --conf conf/fbank.yaml --compress false "$part"
  done
  [ ! -d "$data/musan_noise" ] || steps/make_augment_lists.sh "${jobs[@]}" "$data" "$data/augment"
fi

[ -n "$phones" ] || [ ! -f "$voxceleb1/phones/ali.scp" ] || phones=$voxceleb1/phones
spoken=$phones test_spoken=$phones aligned=$train test_aligned=$test
[ ! -f "$phones" ] || spoken=$labels/align test_spoken=$labels/align_test aligned=${dev}_aligned test_aligned=${test}_aligned
if at_stage 2 "labels of frames"; then
  if [ -f "$phones" ]; then
    steps/align_phones.sh "${jobs[@]}" --phones "$phones" --test "$test" "$train" "$spoken"
    steps/align_phones.sh "${jobs[@]}" --phones "$phones" --model "$spoken" "$test" "$test_spoken"
    local/subset_once.sh "$spoken/ali.scp" "$train" "$aligned"
    local/subset_once.sh "$test_spoken/ali.scp" "$test" "$test_aligned"
  fi
  for kind in mel bestrq; do
    ! wants "cdsvae_$kind" || steps/make_frame_labels.sh "${jobs[@]}" --kind $kind --classes "$classes" "$train" "$labels/$kind"
  done
  if wants cdsvae_frames; then
    steps/extract_frames.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" "$train" "$frame_model" "$labels/frames_of_model"
    steps/make_frame_labels.sh "${jobs[@]}" --kind frames --classes "$classes" "$labels/frames_of_model" "$labels/frames"
  fi
fi

common=()
[ ! -f "$data/augment/.done" ] || common+=(--set "augment.dir=$data/augment")
if at_stage 3 "train"; then
  start_count ${#runs[@]}
  for run in "${runs[@]}"; do
    IFS=$tab read -r system seed exp <<< "$run"
    count_off "training $exp"
    told=() from=$train
    case $system in
      cdsvae_align*)
        [ -n "$spoken" ] || die "$system is told phones; give them with --phones"
        told=(--set "data.frame_labels=$spoken") from=$aligned ;;
      cdsvae_*)
        kind=${system#cdsvae_}
        told=(--set "data.frame_labels=$labels/${kind%%_*}") ;;
    esac
    steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" --conf "$confs/$system.yaml" "${common[@]}" "${told[@]}" --set "seed=$seed" \
      "${set[@]/#/--set=}" "$from" "$exp" ||
      leave_out "$exp" $?
  done
fi

if at_stage 4 "embeddings and frames"; then
  start_count ${#runs[@]}
  for run in "${runs[@]}"; do
    exp=${run##*"$tab"}
    count_off "embeddings and frames of $exp"
    local/extract_system.sh --cuda-cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" --weights "speaker content untrained" "$exp" "$test"
    steps/extract_frames.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" "$train" "$exp" "$exp/frames/train"
    steps/extract_frames.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" "$test" "$exp" "$exp/frames/test"
  done
fi

if at_stage 5 "speakers"; then
  for run in "${runs[@]}"; do
    local/score_system.sh --cmd "$train_cmd" --lists $list --weights "speaker content untrained" "$data" "${run##*"$tab"}"
  done
fi

if [ -n "$spoken" ] && at_stage 6 "phonemes"; then
  probe=(steps/probe_frames.sh --cmd "$train_cmd" --labels "$spoken" --train "$aligned" --ignore "$ignore")
  probe+=(--test-labels "$test_spoken" --test "$test_aligned")
  "${probe[@]}" "$train" "$test" "$exps/phonemes_mel"
  start_count ${#runs[@]}
  for run in "${runs[@]}"; do
    exp=${run##*"$tab"}
    count_off "phonemes of $exp"
    "${probe[@]}" "$exp/frames/train" "$exp/frames/test" "$exp/phonemes"
  done
fi

if [ "$num_pairs" -gt 0 ] && at_stage 7 "conversion"; then
  local/convert_and_judge.sh --train-cmd "$train_cmd" --cuda-cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" --judge "$judge" \
    --num-pairs "$num_pairs" --augment "$data/augment" --feats "$test" "${judge_set[@]/#/--judge-set=}" \
    "$train" "$test" "$test/trials_$list" "$exps/judge" "${runs[@]##*"$tab"}"
fi

if at_stage 8 "RESULTS.md"; then
  python3 local/show_disentangle.py --paper conf/paper.yaml --out "$exps/RESULTS.md" "$exps"
fi
end_recipe
