#!/usr/bin/env bash
# Language recognition on VoxLingua107 from the embeddings of any system, and speaker verification with the same embeddings.
#   ./run.sh --mini true                      the same stages on a corpus that is synthesised here
#   ./run.sh --systems "cpc_lng_1 ../voxceleb/conf/dino_ecapa.yaml" --voxlingua107 DIR --voxceleb1 DIR --seeds "0 1 2" --ngpu 1 --nj 32
#   ./run.sh --systems "" --models ../librispeech/exp/cpc_spk_3/final.pt --stage 3 ...        embeddings of models as they are
# Stages: 0 prepare, 1 audio, noises, 2 pretext training, 3 embeddings, 4 language probes, 5 speaker trials, 6 RESULTS.md
set -euo pipefail
systems=cpc_lng_1   # each a conf/NAME.yaml (with --mini true conf/mini/NAME.yaml), or the path of a YAML of another recipe
models=()           # trained models: final.pt of any recipe, or its folder; named after the folder, or by you as "NAME MODEL"
untrained=false     # true: also use the networks of --models with their initial weights
seeds=0             # e.g. "0 1 2": each system is trained with each
init_from=          # every training starts from this model and takes its encoder and features: final.pt, or "ARCH CHECKPOINT"
stage=0             # first stage to run
stop_stage=6        # last stage to run
ngpu=0              # GPUs for training and extraction; 0: CPU
nj=2                # parallel jobs for everything else
cmd=                # where jobs run; empty: as cmd.sh says
voxlingua107=       # folder with a folder for each language, and dev/
utts_per_language=1000   # number of recordings of each language; 0: all
languages=          # use only these languages, e.g. "en fr"; empty: all
without=            # leave these languages out, e.g. "de"
tests=dev           # parts to test on: dev, the official one; test, a tenth of the other recordings; or "dev test"
voxceleb1=          # folder of VoxCeleb1, for speaker verification on its test list
librispeech=        # folder of LibriSpeech, for speaker verification between its test speakers
musan=              # folder with noise/ speech/ music/; without it no noise is added
rirs=               # folder RIRS_NOISES; without it no reverberation is added
patience=5          # stop frame-level training after so many epochs without a lower loss on the valid part; empty: never
probes=logistic     # classifiers on the embeddings: some of "logistic linear_svm rbf_svm mlp knn plda"
probe_options=      # more for steps/probe.sh, e.g. --probe-options="--set C=0.01"
mini=false          # true: synthesise the corpora, small models
synth=              # for the synthesiser, e.g. --synth="--languages 3 --videos 6" (see tools/make_synth_corpus.py --help)
tag=                # suffix of the systems' experiments, for variants
set=()              # overrides of the pretext training, e.g. --set train.epochs=20
help_message="usage: $0 [--systems 'A B ...'] [--models M]... [--seeds '0 1 2'] [--stage N] [--ngpu N] [--mini true] [--voxlingua107 DIR] ..."
. "$(dirname "$0")/path.sh"
. ./cmd.sh
. utils/parse_options.sh
. utils/models.sh
. utils/experiments.sh
. utils/stages.sh
set -f   # a name with * or ? in it is no pattern
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -eq 0 ] || die "'$1' is no option; see $0 --help"
[ -z "$cmd" ] || train_cmd=$cmd cuda_cmd=$cmd
model_require "$init_from"
confs=conf data=data exps=exp
if [ "$mini" = true ]; then
  confs=conf/mini data=data_mini exps=exp_mini corpora=data_mini/corpora
  : "${voxlingua107:=$corpora/VoxLingua107}" "${voxceleb1:=$corpora/VoxCeleb1}"
fi
list_experiments
for probe in $probes; do
  [[ " logistic linear_svm rbf_svm mlp knn plda " = *" $probe "* ]] || die "there is no probe '$probe'; see --help"
done
for part in $tests; do
  [[ $part = dev || $part = test ]] || die "--tests takes dev, test or both, not '$part'"
done
jobs=(--cmd "$train_cmd" --nj "$nj") all=$data/voxlingua107_all lists=() speakers=()
[ -z "$voxceleb1" ] || lists+=(veri_test2) speakers+=("$data/voxceleb1_test")
[ -z "$librispeech" ] || lists+=(librispeech) speakers+=("$data/librispeech_test")

if at_stage 0 "prepare"; then
  # shellcheck disable=SC2086  # --synth holds several words
  [ "$mini" = false ] || python3 "$SSLSPK_ROOT/tools/make_synth_corpus.py" --nj "$nj" --only "voxlingua107 voxceleb1" $synth $corpora
  [ -n "$voxlingua107" ] || die "--voxlingua107 names no folder; give VoxLingua107's, or try --mini true"
  local/prepare_voxlingua107.py --nj "$nj" --utts-per-language "$utts_per_language" --languages "$languages" --without "$without" \
    "$voxlingua107" $data
  [ -z "$voxceleb1" ] || local/prepare_voxceleb1.py --nj "$nj" --parts test "$voxceleb1" $data
  [ -z "$librispeech" ] || local/prepare_librispeech.py --nj "$nj" --subsets test "$librispeech" $data
  [ -z "$musan" ] || local/prepare_musan.py --nj "$nj" "$musan" $data
  [ -z "$rirs" ] || local/prepare_rirs.py --nj "$nj" "$rirs" $data
fi

if at_stage 1 "audio, noises"; then
  packed=()
  for part in valid train $tests; do
    steps/pack_audio.sh "${jobs[@]}" "$data/voxlingua107_$part" "$data/voxlingua107_${part}_packed"
    packed+=("$data/voxlingua107_${part}_packed")
  done
  local/combine_once.sh $all "${packed[@]:1}"   # without the one that pretext training is judged by
  [ -z "$musan$rirs" ] || steps/make_augment_lists.sh "${jobs[@]}" $data $data/augment
  [ -z "$librispeech" ] || steps/make_trials.sh --cmd "$train_cmd" --num-trials 10000 --utt2session $data/librispeech_test/utt2session \
    $data/librispeech_test/utt2spk $data/librispeech_test/trials_librispeech
fi

if at_stage 2 "pretext training"; then
  start_count ${#runs[@]}
  for run in "${runs[@]}"; do
    IFS=$tab read -r conf seed exp suffix <<< "$run"
    count_off "training $exp"
    options=(--conf "$conf" --common "seed=$seed" "${set[@]/#/--set=}" --init-from "$init_from" --part "$suffix")
    [ ! -f $data/augment/.done ] || options+=(--common "augment.dir=$data/augment")
    if [ -n "$patience" ] && [ "$(python3 -m sslspk.bin.show_config --conf "$conf" --judged)" = true ]; then
      options+=(--common "train.valid=$data/voxlingua107_valid_packed" --common "train.patience=$patience")
    fi
    local/train_system.sh --cuda-cmd "$cuda_cmd" --ngpu "$ngpu" "${options[@]}" $data/voxlingua107_train_packed "$exp" ||
      leave_out "$exp" $?
  done
fi

if at_stage 3 "embeddings"; then
  for dir in $all "${speakers[@]}"; do
    steps/make_feats.sh "${jobs[@]}" --conf conf/fbank.yaml "$dir"   # the statistics baseline reads them
    steps/extract_statistics.sh --cmd "$train_cmd" "$dir" "$dir" $exps/statistics/"$(basename "$dir")"
  done
  start_count ${#found[@]}
  for one in "${found[@]}"; do
    IFS=$tab read -r exp folder weights <<< "$one"
    count_off "embeddings of $exp"
    local/extract_system.sh --cuda-cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" --weights "$weights" --from "$folder" \
      "$exp" $all "${speakers[@]}"
  done
fi

found+=("$exps/statistics$tab$exps/statistics${tab}raw deviation")
if at_stage 4 "language probes"; then
  start_count ${#found[@]}
  for one in "${found[@]}"; do
    IFS=$tab read -r exp folder weights <<< "$one"
    count_off "probes of $exp"
    local/probe_languages.sh --cmd "$train_cmd" --tests "$tests" --probes "$probes" "--options=$probe_options" --weights "$weights" $data "$exp"
  done
fi

if [ ${#lists[@]} -gt 0 ] && at_stage 5 "speaker trials"; then
  for one in "${found[@]}"; do
    IFS=$tab read -r exp folder weights <<< "$one"
    local/score_system.sh --cmd "$train_cmd" --lists "${lists[*]}" --weights "$weights" $data "$exp"
  done
fi

if at_stage 6 "RESULTS.md"; then
  python3 local/show_languages.py --out $exps/RESULTS.md $exps
fi
end_recipe
