#!/usr/bin/env bash
# From recordings of your own to a model: trains systems without labels, measures how good each is, and scores your trials if you have some.
#   ./run.sh --mini true                      the same stages on a corpus that is synthesised here
#   ./run.sh --audio /my/recordings --systems "simclr_short dino_short"
#   ./run.sh --table my.csv --trials my_trials.txt --systems dino_ecapa --ngpu 4 --nj 32
#   ./run.sh --data /my/kaldi/data --systems "" --models ../voxceleb/exp/dino_ecapa/final.pt       how good a finished model is on them
# Stages: 0 prepare, 1 audio, 2 noises, 3 train, 4 embeddings, 5 how good they are, 6 RESULTS.md
set -euo pipefail
audio=              # a folder of recordings of any format, in folders or not
table=              # or a CSV with the column path, and perhaps utterance, speaker, start, end (local/prepare_own.py --help)
data=               # or a data directory in Kaldi's format, with segments or not
speakers=none       # folder: the folders directly in --audio are the speakers; none: speakers are unknown
trials=             # a list "enrol test target|nontarget" or "1|0 enrol test" of ids, or of paths as in the folder or the table
test=               # folder, CSV or data directory with the recordings of --trials; empty: among the others, and held out of training
systems=simclr_short   # systems to train: names of ../voxceleb/conf (with --mini true ../voxceleb/conf/mini), or paths of YAML files
system=             # the same for a single system, as in other recipes
models=()           # a trained model: final.pt of any recipe, its folder, an exported one, i-vectors; or "NAME MODEL"
seeds=0             # e.g. "0 1 2": each system is trained with each
init_from=          # every training starts from this model and takes its encoder and features: final.pt, or "ARCH CHECKPOINT"
checkpoints=false   # true: also judge the checkpoints that the trainings kept, as SYSTEM_stepN (--set train.keep=N)
heldout=0.1         # share of the recordings held out to judge models, at most 500; with --systems "" all recordings are used
crop_seconds=3      # length of the crops by which models are judged
eval_every=5        # score a training on the held-out recordings, without labels, after so many epochs; 0: never
max_seconds=20      # longer recordings are cut into pieces for training
channel=first       # channel to take of several: first, a number from 0 on, or mix
stage=0             # first stage to run
stop_stage=6        # last stage to run
ngpu=0              # GPUs for training and extraction; 0: CPU
nj=2                # parallel jobs for everything else
cmd=                # where jobs run; empty: as cmd.sh says
musan=              # folder with noise/ speech/ music/; without it no noise is added
rirs=               # folder RIRS_NOISES; without it no reverberation is added
mini=false          # true: synthesise the corpora, small models
synth=              # for the synthesiser, e.g. --synth="--speakers 8 --utts 2" (see tools/make_synth_corpus.py --help)
work=.              # folder that gets data/ and exp/
tag=                # suffix of the systems' experiments, for variants
set=()              # overrides of the training, e.g. --set train.steps=1000
help_message="usage: $0 (--audio DIR | --table FILE.csv | --data DIR) [--trials LIST [--test DIR]] [--systems 'A B ...'] [--models M]...
       [--stage N] [--ngpu N] [--mini true] ..."
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
confs=../voxceleb/conf out=$work/data exps=$work/exp
if [ "$mini" = true ]; then
  confs=../voxceleb/conf/mini out=$work/data_mini exps=$work/exp_mini corpora=$out/corpora
  [ -n "$audio$table$data" ] || audio=$corpora/VoxCeleb1/dev test=$corpora/VoxCeleb1/test/wav trials=$corpora/VoxCeleb1/veri_test2.txt
  [ "$systems" != simclr_short ] || systems=simclr_tdnn
  : "${musan:=$corpora/musan}" "${rirs:=$corpora/RIRS_NOISES}"
fi
[ -z "$system" ] || systems=$system
given=(${audio:+"$audio"} ${table:+"$table"} ${data:+"$data"})
[ ${#given[@]} -eq 1 ] || die "give your recordings by one of --audio DIR, --table FILE.csv and --data DIR (or try --mini true)"
[ -z "$test" ] || [ -n "$trials" ] || die "--test holds the recordings of a list; give the list with --trials"
for number in heldout crop_seconds max_seconds eval_every; do
  [[ ${!number} =~ ^[0-9]{1,6}(\.[0-9]{1,6})?$ ]] || die "--${number//_/-} takes a number, not '${!number:0:20}'"
done
list_experiments true
silence=${vads[0]:-false}
[[ "${vads[*]}" != *true*false* && "${vads[*]}" != *false*true* ]] ||
  die "some of the systems and models want silence cut (vad) and some do not; run them apart, each with a --work of its own"
[ ${#runs[@]} -gt 0 ] || heldout=1
jobs=(--cmd "$train_cmd" --nj "$nj") gpus=(--cuda-cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu")
parts=(heldout)
[ ${#runs[@]} -eq 0 ] || parts+=(train)
[ -z "$trials" ] || parts+=(test)

own() {   # FOLDER, CSV or data directory, NAME: makes it a data directory where it is none; sets dir
  if [ -f "$1/wav.scp" ]; then
    dir=$1
    return
  fi
  dir=$out/$2
  local/prepare_own.py --nj "$nj" --channel "$channel" --name "$2" "${@:3}" "$1" "$out"
}
if at_stage 0 "prepare"; then
  # shellcheck disable=SC2086  # --synth holds several words
  [ "$mini" = false ] || python3 "$SSLSPK_ROOT/tools/make_synth_corpus.py" --nj "$nj" --only "voxceleb1 musan rirs" $synth $corpora
  [ -z "$data" ] || [ -f "$data/wav.scp" ] || die "--data '${data:0:60}' holds no wav.scp; of a folder of recordings give --audio"
  [ -z "$audio" ] || [ -d "$audio" ] || die "--audio takes a folder of recordings, not '${audio:0:60}'; of a CSV give --table"
  [ -z "$table" ] || [ -f "$table" ] || die "--table takes a CSV file, not '${table:0:60}'; of a folder of recordings give --audio"
  [ -z "$test" ] || [ -e "$test" ] || die "there is no '${test:0:60}'; --test takes a folder, a CSV or a data directory"
  own "${given[0]}" own --speakers "$speakers"
  mine=$dir division=(--share "$heldout")
  if [ -n "$trials" ]; then
    division+=(--trials "$trials")
    [ -z "$test" ] || { own "$test" own_tests; division+=(--test "$dir"); }
  fi
  local/divide_own.py "${division[@]}" "$mine" "$out"
  [ -z "$musan" ] || local/prepare_musan.py --nj "$nj" "$musan" "$out"
  [ -z "$rirs" ] || local/prepare_rirs.py --nj "$nj" "$rirs" "$out"
fi

if at_stage 1 "audio"; then
  for part in "${parts[@]}"; do
    local/pack_own.sh "${jobs[@]}" --channel "$channel" --vad "$silence" "$out/own_$part"
  done
  utils/cut_data_dir.sh --ends "$crop_seconds" "$out/own_heldout_packed" "$out/own_crops"
  [ ${#runs[@]} -eq 0 ] || utils/cut_data_dir.sh --pieces "$max_seconds" "$out/own_train_packed" "$out/own_train_pieces"
  # Before hours of other work: are there enough recordings for a batch of each system?
  for run in "${runs[@]}"; do
    IFS=$tab read -r conf seed exp suffix <<< "$run"
    [ -n "$init_from" ] || [ -s "$exp/final.pt" ] ||
      python3 -m sslspk.bin.train --check --conf "$conf" "${set[@]/#/--set=}" "$out/own_train_pieces" "$exp"
  done
fi

if [ -n "$musan$rirs" ] && at_stage 2 "noises"; then
  steps/make_augment_lists.sh "${jobs[@]}" "$out" "$out/augment"
fi

if at_stage 3 "train"; then
  start_count ${#runs[@]}
  for run in "${runs[@]}"; do
    IFS=$tab read -r conf seed exp suffix <<< "$run"
    count_off "training $exp"
    options=(--conf "$conf" --common "seed=$seed" "${set[@]/#/--set=}" --init-from "$init_from" --part "$suffix")
    [ ! -f "$out/augment/.done" ] || options+=(--common "augment.dir=$out/augment")
    [ "$eval_every" = 0 ] || options+=(--common "train.eval_data=$out/own_heldout_packed" --common "train.eval_every=$eval_every")
    local/train_system.sh --cuda-cmd "$cuda_cmd" --ngpu "$ngpu" "${options[@]}" "$out/own_train_pieces" "$exp" ||
      leave_out "$exp" $?
  done
fi

if [ "$checkpoints" = true ] && [ "$stage" -le 5 ] && [ "$stop_stage" -ge 4 ]; then
  add_checkpoints
fi
if at_stage 4 "embeddings"; then
  tested=()
  [ -z "$trials" ] || tested=("$out/own_test_packed")
  start_count ${#found[@]}
  for one in "${found[@]}"; do
    IFS=$tab read -r exp folder weights <<< "$one"
    count_off "embeddings of $exp"
    local/extract_system.sh "${gpus[@]}" --weights "$weights" --from "$folder" "$exp" "$out/own_crops" "${tested[@]}"
  done
fi

if at_stage 5 "how good they are"; then
  for one in "${found[@]}"; do
    IFS=$tab read -r exp folder weights <<< "$one"
    for variant in $weights; do
      steps/judge_embeddings.sh --cmd "$train_cmd" --recordings "$out/own_crops/utt2recording" \
        "$out/own_crops/utt2spk" "$exp/emb_$variant/own_crops" "$exp/judged_$variant"
    done
    [ -z "$trials" ] || local/score_system.sh --cmd "$train_cmd" --lists own --weights "$weights" "$out" "$exp"
  done
fi

if at_stage 6 "RESULTS.md"; then
  python3 local/show_own.py --out "$exps/RESULTS.md" "$exps"
fi
end_recipe
