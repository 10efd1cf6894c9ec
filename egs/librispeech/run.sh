#!/usr/bin/env bash
# Frame-level self-supervised learning on LibriSpeech: trains encoders on pretext tasks, then recognises speakers from their embeddings.
#   ./run.sh --mini true                      the same stages on a corpus that is synthesised here
#   ./run.sh --systems "cpc_spk_1 cpc_spk_3" --seeds "0 1 2" --librispeech /corpora/LibriSpeech --ngpu 1 --nj 32
# Stages: 0 prepare, 1 audio, 2 noises, 3 pretext training, 4 embeddings, 5 speakers, 6 fewer labels, 7 pictures, 8 verification,
# 9 RESULTS.md
set -euo pipefail
systems=cpc_spk_1   # conf/NAME.yaml each; with --mini true conf/mini/NAME.yaml
seeds=0             # e.g. "0 1 2": everything is trained with each
stage=0             # first stage to run
stop_stage=9        # last stage to run
ngpu=0              # GPUs for training and extraction; 0: CPU
nj=2                # parallel jobs for everything else
cmd=                # where jobs run; empty: as cmd.sh says
librispeech=        # folder with SPEAKERS.TXT, train-*/ dev-*/ test-*/
subsets=            # parts to use, e.g. "train-clean-100 dev-clean test-clean"; empty: all that are there
musan=              # folder with noise/ speech/ music/; without it no noise is added
rirs=               # folder RIRS_NOISES; without it no reverberation is added
patience=5          # stop pretext training after so many epochs without a lower loss on the dev set; empty: train all epochs
heads="linear mlp"  # classifiers on the embeddings: conf/head/NAME.yaml
baselines=          # systems with a supervised baseline and the curve over fewer labels; empty: the first of --systems; none: no system
shares=             # shares of the labels in that curve in %, besides 100; empty: "1 2 5 10 20 50", with --mini true "20 50"
num_trials=10000    # number of verification trials, half of them targets if there are enough
mini=false          # true: synthesise the corpora, small models
synth=              # for the synthesiser, e.g. --synth="--libri-speakers 8 --utts 2" (see tools/make_synth_corpus.py --help)
tag=                # suffix of the experiments' names, for variants
print_name=false    # true: print the names of the experiments, and end
set=()              # overrides of the pretext training, e.g. --set train.epochs=20
supervised_set=()   # overrides of the supervised baselines
help_message="usage: $0 [--systems 'A B ...'] [--seeds '0 1 2'] [--stage N] [--stop-stage N] [--ngpu N] [--nj N] [--mini true] [--librispeech DIR] ..."
. "$(dirname "$0")/path.sh"
. ./cmd.sh
. utils/parse_options.sh
. utils/stages.sh
set -f   # a name with * or ? in it is no pattern
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -eq 0 ] || die "'$1' is no option; see $0 --help"
[ -z "$cmd" ] || train_cmd=$cmd cuda_cmd=$cmd
[ -n "${systems// /}" ] || die "--systems names no system; give some, such as cpc_spk_1"
confs=conf data=data exps=exp paper=conf/paper.yaml
if [ "$mini" = true ]; then
  confs=conf/mini data=data_mini exps=exp_mini corpora=data_mini/corpora paper=
  : "${shares:=20 50}" "${librispeech:=$corpora/LibriSpeech}" "${musan:=$corpora/musan}" "${rirs:=$corpora/RIRS_NOISES}"
fi
: "${shares:=1 2 5 10 20 50}" "${baselines:=${systems%% *}}"
[[ $seeds =~ ^[0-9]{1,9}(\ +[0-9]{1,9})*$ ]] || die "--seeds takes whole numbers, not '${seeds:0:40}'"
[[ $num_trials =~ ^[1-9][0-9]{0,8}$ ]] || die "--num-trials takes a whole number from 1 on, not '${num_trials:0:20}'"
for head in ${heads:-none}; do
  [ -f "conf/head/$head.yaml" ] || die "--heads takes some of linear and mlp (conf/head), not '$head'"
done
for one in $baselines; do
  [[ " $systems none " = *" $one "* ]] || die "--baselines names ${one:0:40}, which is not among --systems"
done
for share in $shares; do
  [[ $share =~ ^([1-9][0-9]?|100)$ ]] || die "--shares takes whole numbers from 1 to 100, not '${share:0:20}'"
done
runs=() tab=$'\t'   # SYSTEM, SEED, EXP
for system in $systems; do
  [ -f "$confs/$system.yaml" ] || die "there is no $confs/${system:0:60}.yaml; see ls $confs/*.yaml"
  for seed in $seeds; do
    suffix=
    [ "$seed" = 0 ] || suffix=_seed$seed
    runs+=("$system$tab$seed$tab$exps/$system${tag:+_$tag}$suffix")
  done
done
[ "$print_name" = false ] || { printf '%s\n' "${runs[@]##*"$tab"}"; exit; }
jobs=(--cmd "$train_cmd" --nj "$nj") first=$data/librispeech_first split=$data/split test=$data/librispeech_test
compares() { [[ " $baselines " == *" $1 "* ]]; }   # SYSTEM: whether it has a supervised baseline and a curve

if at_stage 0 "prepare"; then
  # shellcheck disable=SC2086  # --synth holds several words
  [ "$mini" = false ] || python3 "$SSLSPK_ROOT/tools/make_synth_corpus.py" --nj "$nj" --only "librispeech musan rirs" $synth $corpora
  [ -n "$librispeech" ] || die "--librispeech names no folder; give LibriSpeech's, or try --mini true"
  local/prepare_librispeech.py --nj "$nj" --subsets "$subsets" "$librispeech" $data
  [ -z "$musan" ] || local/prepare_musan.py --nj "$nj" "$musan" $data
  [ -z "$rirs" ] || local/prepare_rirs.py --nj "$nj" "$rirs" $data
fi

if at_stage 1 "audio"; then
  for part in train dev; do
    steps/pack_audio.sh "${jobs[@]}" $data/librispeech_$part $data/librispeech_${part}_packed
  done
  utils/cut_data_dir.sh --first 1.28 $data/librispeech_train_packed $first
  utils/divide_data_dir.sh --seed 1717 "train=0.7 valid=0.2 test=0.1" $first $split
fi

if at_stage 2 "noises"; then
  steps/make_augment_lists.sh "${jobs[@]}" $data $data/augment
fi
common=()
[ ! -f $data/augment/.done ] || common+=(--common "augment.dir=$data/augment")
[ -z "$patience" ] || common+=(--common "train.valid=$data/librispeech_dev_packed" --common "train.patience=$patience")

if at_stage 3 "pretext training"; then
  start_count ${#runs[@]}
  for run in "${runs[@]}"; do
    IFS=$tab read -r system seed exp <<< "$run"
    count_off "training $exp"
    local/train_system.sh --cuda-cmd "$cuda_cmd" --ngpu "$ngpu" --conf "$confs/$system.yaml" "${common[@]}" --common "seed=$seed" \
      "${set[@]/#/--set=}" $data/librispeech_train_packed "$exp" ||
      leave_out "$exp" $?
  done
fi

if at_stage 4 "embeddings"; then
  start_count ${#runs[@]}
  for run in "${runs[@]}"; do
    count_off "embeddings of ${run##*"$tab"}"
    local/extract_system.sh --cuda-cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" --weights "encoder untrained" "${run##*"$tab"}" $first $test
  done
fi

classify=(local/classify_speakers.sh --train-cmd "$train_cmd" --cuda-cmd "$cuda_cmd" --ngpu "$ngpu" --labels "$first/utt2spk"
  --supervised "$confs/head" "${supervised_set[@]/#/--set=}")
if at_stage 5 "speakers"; then
  start_count ${#runs[@]}
  for run in "${runs[@]}"; do
    IFS=$tab read -r system seed exp <<< "$run"
    count_off "classifiers on $exp"
    "${classify[@]}" --seed "$seed" --heads "$heads" $split "$exp"
    if compares "$system"; then
      "${classify[@]}" --seed "$seed" --heads "$heads" --variants supervised $split "$exp"
    fi
  done
fi

if at_stage 6 "fewer labels"; then
  for run in "${runs[@]}"; do
    IFS=$tab read -r system seed exp <<< "$run"
    compares "$system" || continue
    for share in $shares; do
      "${classify[@]}" --seed "$seed" --heads "${heads%% *}" --share "$share" --variants "encoder untrained supervised" $split "$exp"
    done
  done
fi

if at_stage 7 "pictures"; then
  for run in "${runs[@]}"; do
    for variant in encoder untrained; do
      exp=${run##*"$tab"}
      steps/plot_embeddings.sh --cmd "$train_cmd" --labels $first/utt2spk "$exp/emb_$variant/librispeech_first" "$exp/plot_$variant"
    done
  done
fi

if at_stage 8 "verification"; then
  steps/make_trials.sh --cmd "$train_cmd" --num-trials "$num_trials" --utt2session $test/utt2session $test/utt2spk $test/trials_librispeech
  for run in "${runs[@]}"; do
    local/score_system.sh --cmd "$train_cmd" --lists librispeech --weights "encoder untrained" $data "${run##*"$tab"}"
  done
fi

if at_stage 9 "RESULTS.md"; then
  python3 local/show_speakers.py ${paper:+--paper "$paper"} --out $exps/RESULTS.md $exps
fi
end_recipe
