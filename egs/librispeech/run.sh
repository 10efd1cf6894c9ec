#!/usr/bin/env bash
# Frame-level self-supervision on LibriSpeech: trains encoders by pretext tasks, then asks them who speaks.
#   ./run.sh --mini true                      the same stages on a corpus that is synthesised here
#   ./run.sh --systems "cpc_spk_1 cpc_spk_3" --seeds "0 1 2" --librispeech /corpora/LibriSpeech --ngpu 1 --nj 32
# Stages: 0 prepare, 1 audio, 2 noises, 3 pretext training
set -euo pipefail
systems=cpc_spk_1   # conf/NAME.yaml each; with --mini true conf/mini/NAME.yaml
seeds=0             # e.g. "0 1 2": everything is trained with each
stage=0             # first stage to run
stop_stage=3        # last stage to run
ngpu=0              # GPUs for training and extraction; 0: CPU
nj=2                # parallel jobs for everything else
cmd=                # where jobs run; empty: as cmd.sh says
librispeech=        # folder with SPEAKERS.TXT, train-*/ dev-*/ test-*/
subsets=            # of it, e.g. "train-clean-100 dev-clean test-clean"; empty: all that are there
musan=              # folder with noise/ speech/ music/; without it no noise is added
rirs=               # folder RIRS_NOISES; without it no reverberation is added
patience=5          # pretext training ends after so many epochs without a lower loss on the dev set; empty: all epochs, the last weights
mini=false          # true: synthesise the corpora, small models
synth=              # for the synthesiser, e.g. --synth="--libri-speakers 8 --utts 2" (see tools/make_synth_corpus.py --help)
tag=                # suffix of the experiments' names, for variants
print_name=false    # true: print the names of the experiments, and end
set=()              # overrides of the pretext training, e.g. --set train.epochs=20 (repeatable)
help_message="usage: $0 [--systems 'A B ...'] [--seeds '0 1 2'] [--stage N] [--stop-stage N] [--ngpu N] [--nj N] [--mini true] [--librispeech DIR] ..."
. "$(dirname "$0")/path.sh"; . ./cmd.sh; . utils/parse_options.sh; set -f   # what is in a list of names is no pattern
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -eq 0 ] || die "'$1' is no option; see $0 --help"
[ -z "$cmd" ] || train_cmd=$cmd cuda_cmd=$cmd
confs=conf data=data exps=exp
if [ "$mini" = true ]; then
  confs=conf/mini data=data_mini exps=exp_mini corpora=data_mini/corpora
  : "${librispeech:=$corpora/LibriSpeech}" "${musan:=$corpora/musan}" "${rirs:=$corpora/RIRS_NOISES}"
fi
[[ $seeds =~ ^[0-9]{1,9}(\ +[0-9]{1,9})*$ ]] || die "--seeds takes whole numbers, not '${seeds:0:40}'"
runs=()   # SYSTEM SEED EXP
for system in $systems; do
  [ -f "$confs/$system.yaml" ] || die "there is no $confs/$system.yaml; --systems takes some of" \
    "$(set +f; grep -l ^reproduces: "$confs"/*.yaml | xargs basename -s .yaml | xargs)"
  for seed in $seeds; do
    suffix=; [ "$seed" = 0 ] || suffix=_seed$seed
    runs+=("$system $seed $exps/$system${tag:+_$tag}$suffix")
  done
done
[ "$print_name" = false ] || { printf '%s\n' "${runs[@]##* }"; exit; }
jobs=(--cmd "$train_cmd" --nj "$nj")

if [ "$stage" -le 0 ] && [ "$stop_stage" -ge 0 ]; then
  # shellcheck disable=SC2086  # --synth holds several words
  [ "$mini" = false ] || python3 "$SSLSPK_ROOT/tools/make_synth_corpus.py" --nj "$nj" --only "librispeech musan rirs" $synth $corpora
  [ -n "$librispeech" ] || die "--librispeech names no folder; give LibriSpeech's, or try --mini true"
  local/prepare_librispeech.py --nj "$nj" --subsets "$subsets" "$librispeech" $data
  [ -z "$musan" ] || local/prepare_musan.py --nj "$nj" "$musan" $data
  [ -z "$rirs" ] || local/prepare_rirs.py --nj "$nj" "$rirs" $data
fi

if [ "$stage" -le 1 ] && [ "$stop_stage" -ge 1 ]; then
  for part in train dev test; do
    steps/pack_audio.sh "${jobs[@]}" $data/librispeech_$part $data/librispeech_${part}_packed
  done
fi

if [ "$stage" -le 2 ] && [ "$stop_stage" -ge 2 ]; then
  steps/make_augment_lists.sh "${jobs[@]}" $data $data/augment
fi
common=(); [ ! -f $data/augment/.done ] || common+=(--common "augment.dir=$data/augment")
[ -z "$patience" ] || common+=(--common "train.valid=$data/librispeech_dev_packed" --common "train.patience=$patience")
overrides=(); for item in "${set[@]}"; do overrides+=(--set "$item"); done

if [ "$stage" -le 3 ] && [ "$stop_stage" -ge 3 ]; then
  for run in "${runs[@]}"; do
    read -r system seed exp <<< "$run"
    local/train_system.sh --cuda-cmd "$cuda_cmd" --ngpu "$ngpu" --conf "$confs/$system.yaml" "${common[@]}" --common "seed=$seed" \
      "${overrides[@]}" $data/librispeech_train_packed "$exp"
  done
fi
