#!/usr/bin/env bash
# From wav to EER on VoxCeleb: trains one system and scores it beside its untrained self and plain statistics.
#   ./run.sh --mini true                      the same stages on a corpus that is synthesised here (two minutes, no download)
#   ./run.sh --system dino_ecapa --voxceleb1 /corpora/VoxCeleb1 --voxceleb2 /corpora/VoxCeleb2 --ngpu 4 --nj 32
# Stages: 0 prepare, 1 features and packed audio, 2 augmentation, 3 train, 4 embeddings, 5 scores, 6 plot and RESULTS.md
set -euo pipefail
system=dino_ecapa   # a conf/NAME.yaml; with --mini true a conf/mini/NAME.yaml
stage=0             # first stage to run
stop_stage=6        # last stage to run
ngpu=0              # GPUs for training and extraction; 0: CPU
nj=2                # parallel jobs for everything else
cmd=                # where jobs run; empty: as cmd.sh says
voxceleb1=          # folder with dev/ test/ vox1_meta.csv veri_test2.txt
voxceleb2=          # folder with dev/ vox2_meta.csv; makes VoxCeleb2 dev the training set
musan=              # folder with noise/ speech/ music/; without it no noise is added
rirs=               # folder RIRS_NOISES; without it no reverberation is added
train=              # voxceleb1 | voxceleb2; empty: VoxCeleb2 when given, else VoxCeleb1
road=wave           # wave: crops of audio, features on the device | feats: Kaldi's archives and noisy copies on disk
lists="veri_test2"  # trial lists, without extension, e.g. "veri_test2 list_test_all2 list_test_hard2"
mini=false          # true: synthesise the corpora, small models
synth=              # for the synthesiser, e.g. --synth="--speakers 8 --utts 2" (see tools/make_synth_corpus.py --help)
speakers=           # train on that many speakers only, drawn at random; a larger draw holds the smaller ones
hours=              # train on that many hours only
tag=                # suffix of the experiment's name, for variants of a system
set=()              # overrides of the configuration, e.g. --set train.epochs=20 (repeatable)
help_message="usage: $0 [--system NAME] [--stage N] [--stop-stage N] [--ngpu N] [--nj N] [--mini true] [--voxceleb1 DIR] ..."
. ./path.sh
. ./cmd.sh
. utils/parse_options.sh
. utils/done.sh
[ $# -eq 0 ] || { echo "$0: error: '$1' is no option; see $0 --help" >&2; exit 1; }
[ -z "$speakers" ] || [ -z "$hours" ] || { echo "$0: error: --speakers and --hours are two ways to choose a part; give one" >&2; exit 1; }
[ -z "$cmd" ] || train_cmd=$cmd cuda_cmd=$cmd

conf=conf/$system.yaml data=data exps=exp paper=conf/paper.yaml
if [ "$mini" = true ]; then
  conf=conf/mini/$system.yaml data=data_mini exps=exp_mini corpora=data_mini/corpora paper=/dev/null
  : "${voxceleb1:=$corpora/VoxCeleb1}" "${musan:=$corpora/musan}" "${rirs:=$corpora/RIRS_NOISES}"
  if [ "$train" = voxceleb2 ]; then : "${voxceleb2:=$corpora/VoxCeleb2}"; fi
fi
systems=$(grep -l '^reproduces:' "${conf%/*}"/*.yaml | xargs basename -s .yaml | tr '\n' ' ')
[ -f "$conf" ] || { echo "$0: error: there is no $conf; --system takes one of: $systems" >&2; exit 1; }
: "${train:=$([ -n "$voxceleb2" ] && echo voxceleb2 || echo voxceleb1)}"
[[ $train = voxceleb[12] ]] || { echo "$0: error: --train takes voxceleb1 or voxceleb2, not '$train'" >&2; exit 1; }
home() { case $1 in list_test*|voxsrc*) echo voxceleb1 ;; *) echo voxceleb1_test ;; esac; }   # where a list's utterances are
tests=()
for list in $lists; do
  if [ "$train" = voxceleb1 ] && [ "$(home "$list")" = voxceleb1 ]; then
    echo "$0: error: --lists $list holds trials between VoxCeleb1's training speakers; train on VoxCeleb2 (--voxceleb2) for it" >&2; exit 1
  fi
  [[ " ${tests[*]} " == *" $data/$(home "$list") "* ]] || tests+=("$data/$(home "$list")")
done
common=(--set "data.road=$road") overrides=()   # what holds for the whole chain of systems, and for the last one alone
for item in "${set[@]}"; do overrides+=(--set "$item"); done
config() { python3 -m sslspk.bin.show_config --conf "$conf" "${common[@]}" "${overrides[@]}" "$1"; }
vad=$(config vad)
chain=$(config --chain)
weights=$(config --weights)
part=${speakers:+_spk$speakers}${hours:+_${hours}h}
exp=$exps/$system$part${tag:+_$tag} train_data=$data/${train}_dev
whole=${train_data}_packed; [ "$vad" = false ] || whole=${train_data}_vad
packed=$whole$part; own=${packed}_$(basename "$exp")

if [ "$stage" -le 0 ] && [ "$stop_stage" -ge 0 ]; then
  # shellcheck disable=SC2086  # --synth holds several words
  [ "$mini" = false ] || python3 "$SSLSPK_ROOT/tools/make_synth_corpus.py" --nj "$nj" \
    --voxceleb2 "$([ "$train" = voxceleb2 ] && echo true || echo false)" $synth $corpora
  [ -n "$voxceleb1" ] || { echo "$0: error: --voxceleb1 names no folder; give VoxCeleb1's, or try --mini true" >&2; exit 1; }
  local/prepare_voxceleb1.py --nj "$nj" "$voxceleb1" $data
  [ -z "$voxceleb2" ] || local/prepare_voxceleb2.py --nj "$nj" "$voxceleb2" $data
  [ -z "$musan" ] || local/prepare_musan.py --nj "$nj" "$musan" $data
  [ -z "$rirs" ] || local/prepare_rirs.py --nj "$nj" "$rirs" $data
fi

if [ "$stage" -le 1 ] && [ "$stop_stage" -ge 1 ]; then
  for dir in "${tests[@]}"; do
    steps/make_feats.sh --cmd "$train_cmd" --nj "$nj" --conf conf/fbank.yaml "$dir"
    steps/compute_vad.sh --cmd "$train_cmd" --nj "$nj" "$dir"
    [ "$vad" = false ] || steps/pack_audio.sh --cmd "$train_cmd" --nj "$nj" --vad true "$dir" "${dir}_vad"
  done
  [ "$vad" = false ] || steps/compute_vad.sh --cmd "$train_cmd" --nj "$nj" "$train_data"
  steps/pack_audio.sh --cmd "$train_cmd" --nj "$nj" --vad "$vad" "$train_data" "$whole"
  if [ -n "$part" ] && ! done_skip "$packed" "subset $part" "$whole/wav.scp" -- "$packed/wav.scp"; then
    utils/subset_data_dir.sh ${speakers:+--num-speakers "$speakers"} ${hours:+--hours "$hours"} "$whole" "$packed"
    done_mark "$packed" "subset $part" "$whole/wav.scp"
  fi
fi

if [ "$stage" -le 2 ] && [ "$stop_stage" -ge 2 ]; then
  steps/make_augment_lists.sh --cmd "$train_cmd" --nj "$nj" $data $data/augment
  if [ "$road" = feats ]; then   # a system's features and noisy copies are its own
    config augment > "$own.augment.yaml"; config features > "$own.features.yaml"
    if [ -f $data/augment/.done ]; then
      steps/augment_data.sh --cmd "$train_cmd" --nj "$nj" --conf "$own.augment.yaml" "$packed" $data/augment "$own"
    else utils/combine_data.sh "$own" "$packed"; fi
    steps/make_feats.sh --cmd "$train_cmd" --nj "$nj" --conf "$own.features.yaml" "$own"
  fi
fi
if [ "$road" = feats ]; then from=$own; else
  from=$packed
  [ ! -f $data/augment/.done ] || common+=(--set "augment.dir=$data/augment")
fi

if [ "$stage" -le 3 ] && [ "$stop_stage" -ge 3 ]; then
  from_model=()
  for earlier in $chain; do   # MoCo before C3-MoCo before C3-DINO: each starts from the one before it
    steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" --conf "${conf%/*}/$earlier.yaml" "${common[@]}" "${from_model[@]}" "$from" "$exps/$earlier$part"
    from_model=(--init-from "$exps/$earlier$part/final.pt")
  done
  steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" --conf "$conf" "${common[@]}" "${overrides[@]}" "${from_model[@]}" "$from" "$exp"
fi

if [ "$stage" -le 4 ] && [ "$stop_stage" -ge 4 ]; then
  for dir in "${tests[@]}"; do
    steps/extract_statistics.sh --cmd "$train_cmd" "$dir" "$train_data" "$exps/statistics/$(basename "$dir")"
    local/extract_system.sh --cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" --weights "$weights untrained" --name "$(basename "$dir")" \
      "$([ "$vad" = false ] && echo "$dir" || echo "${dir}_vad")" "$exp"
  done
fi

if [ "$stage" -le 5 ] && [ "$stop_stage" -ge 5 ]; then
  for list in $lists; do
    local/score_system.sh --cmd "$train_cmd" --weights "$weights untrained" "$data/$(home "$list")" "$list" "$exp"
    local/score_system.sh --cmd "$train_cmd" --weights "raw standardised deviation" "$data/$(home "$list")" "$list" "$exps/statistics"
  done
fi

if [ "$stage" -le 6 ] && [ "$stop_stage" -ge 6 ]; then
  python3 local/show_table.py --paper $paper --out "$exps/RESULTS.md" --det "$exps/det" --data $data "$exps"
fi
