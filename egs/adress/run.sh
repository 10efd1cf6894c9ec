#!/usr/bin/env bash
# Dementia from speech on ADReSS: fine-tunes an encoder on segments and decides for each participant. First cross-validation on the training
# part, then the test part. Also trains probes on frozen embeddings.
#   ./run.sh --mini true                      the same stages on a corpus that is synthesised here, from scratch
#   ./run.sh --adress /corpora/ADReSS --init-from ../voxceleb/exp/dino_lresnet34/final.pt --ft step2 --ngpu 4
# Stages: 0 prepare, 1 audio and noises, 2 folds, 3 cross-validation, 4 test part, 5 probes, 6 RESULTS.md
set -euo pipefail
stage=0             # first stage to run
stop_stage=6        # last stage to run
adress=             # folder with train/ and test/
init_from=          # start from this: final.pt of any recipe, or "ARCH CHECKPOINT"; empty: from scratch, conf/scratch.yaml
init=true           # false: the architecture of --init-from with fresh weights
ft=once             # once | step1: classifier and last affine layers | step2: step1, then everything | none: probes alone
step1=affine        # head: step1 trains the classifier alone
probes="logistic"   # probes on the embeddings of --init-from, e.g. "logistic linear_svm mlp knn plda"; empty: none
layer=              # probe this layer in place of the embedding: its name, such as pooling; for "ARCH CHECKPOINT" its number
mmse=false          # true: also predict the MMSE score from the embeddings by linear regression, cross-validated
speech=chunks       # chunks: Normalised_audio-chunks | participant: the participant's turns, by the transcript | all: whole recordings
cv=5                # number of folds; a participant is in one fold | loso: each fold holds out one participant
valid_share=0       # share of the training participants held out to choose the best epoch; 0: take the weights of the last epoch
pool=mean           # how the segments of a participant are combined: mean (of posteriors) | vote
seconds=            # crops in training and pieces in testing; full: whole segments (in training up to 20 s); empty: conf/ft's, whole
seeds=0             # e.g. "0 1 2": everything is trained with each, the table gives their mean
musan=              # folder of MUSAN: noise in training; needs --augment true to have an effect
rirs=               # folder RIRS_NOISES: the same for reverberation
augment=false       # true: noise and rooms in training
ngpu=0              # GPUs, one per fold; 0: CPU
nj=2                # parallel jobs for everything else
cmd=                # where jobs run; empty: as cmd.sh says
mini=false          # true: synthesise the corpora, a small model
synth=              # for the synthesiser, e.g. --synth="--ad-participants 6" (see tools/make_synth_corpus.py --help)
tag=                # suffix of the experiment's name, for variants
print_name=false    # true: print the names of the fine-tuning's and the probes' experiments, and end
set=()              # overrides of the fine-tuning, e.g. --set train.epochs=40
help_message="usage: $0 [--adress DIR] [--init-from MODEL] [--ft once|step1|step2|none] [--stage N] [--ngpu N] [--mini true] ..."
. "$(dirname "$0")/path.sh"
. ./cmd.sh
. utils/parse_options.sh
. utils/models.sh
. utils/stages.sh
set -f   # a name with * or ? in it is no pattern
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -eq 0 ] || die "'$1' is no option; see $0 --help"
[ -z "$cmd" ] || train_cmd=$cmd cuda_cmd=$cmd
[[ $cv = loso || $cv =~ ^([2-9]|[1-9][0-9]{1,3})$ ]] || die "--cv takes a number of folds from 2 on, or loso, not '$cv'"
case $ft in once|step1|step2|none) ;; *) die "--ft takes once, step1, step2 or none, not '$ft'" ;; esac
[ "$pool" = mean ] || [ "$pool" = vote ] || die "--pool takes mean or vote, not '$pool'"
model_require "$init_from"
[ -n "$init_from" ] || [[ $ft = once || $ft = none ]] || die "--ft $ft is for weights that were learnt before; give --init-from"
[ -n "$init_from" ] || [ "$mmse" = false ] || die "--mmse regresses on the embeddings of a model; give --init-from"
data=data exps=exp scratch=conf/scratch.yaml
if [ "$mini" = true ]; then
  data=data_mini exps=exp_mini scratch=conf/mini/scratch.yaml corpora=data_mini/corpora
  : "${adress:=$corpora/ADReSS}"
  if [ "$augment" = true ]; then
    : "${musan:=$corpora/musan}" "${rirs:=$corpora/RIRS_NOISES}"
  fi
fi
case $speech in chunks) what= ;; participant|all) what=$speech ;; *) die "--speech takes chunks, participant or all, not '$speech'" ;; esac
root=$data${what:+/$what} cut=$root/folds_$cv final=$root/final start=scratch fresh=
[ "$init" = true ] || fresh=_fresh
[ "$valid_share" = 0 ] || cut=${cut}_valid$valid_share
[ -z "$init_from" ] || start=$(model_name "$init_from")   # named after the system that it is
noisy=
[ "$augment" = false ] || noisy=_noisy
name=$start${fresh}_$ft${what:+_$what}${seconds:+_${seconds}s}$noisy${tag:+_$tag}
probed=$exps/probes_$start$fresh${what:+_$what}${layer:+_$layer}${tag:+_$tag}
[ "$print_name" = false ] || { printf '%s\n' "$exps/${name}_cv$cv" "${probed}_cv$cv"; exit; }

if at_stage 0 "prepare"; then
  # shellcheck disable=SC2086  # --synth holds several words
  [ "$mini" = false ] || python3 "$SSLSPK_ROOT/tools/make_synth_corpus.py" --nj "$nj" \
    --only "adress$([ "$augment" = false ] || echo " musan rirs")" $synth $corpora
  [ -n "$adress" ] || die "--adress names no folder; give ADReSS's, or try --mini true"
  local/prepare_adress.py --nj "$nj" --speech "$speech" "$adress" "$root"
  [ -z "$musan" ] || local/prepare_musan.py --nj "$nj" "$musan" $data
  [ -z "$rirs" ] || local/prepare_rirs.py --nj "$nj" "$rirs" $data
fi

if at_stage 1 "audio and noises"; then
  for part in train test; do
    steps/pack_audio.sh --cmd "$train_cmd" --nj "$nj" "$root/adress_$part" "$root/adress_${part}_packed"
  done
  local/combine_once.sh "$root/adress_packed" "$root"/adress_{train,test}_packed
  [ "$augment" = false ] || steps/make_augment_lists.sh --cmd "$train_cmd" --nj "$nj" $data $data/augment
fi

if at_stage 2 "folds"; then
  number=()
  [ "$cv" = loso ] || number=(--num-folds "$cv")
  utils/make_folds.sh --by utt2spk "${number[@]}" --labels utt2diagnosis --valid-share "$valid_share" "$root/adress_train_packed" "$cut"
  mkdir -p "$final/1"   # the whole training part and the test part, as one fold
  for part in train test; do
    ln -sfn "$(readlink -f "$root/adress_${part}_packed")" "$final/1/$part"
  done
  echo 1 > "$final/num_folds"
fi

options=(--ft "$ft" --step1 "$step1" --init-from "$init_from" --init "$init" --scratch "$scratch" --seconds "$seconds")
for item in "${set[@]}"; do
  options+=(--set "$item")
done
[ "$augment" = false ] || options+=(--set "augment.dir=$data/augment")
on() {   # PART: prints the options for its labels and participants
  echo "--labels $root/adress_$1/utt2diagnosis --pool $pool --groups $root/adress_$1/utt2spk"
}
# shellcheck disable=SC2046  # on() gives several words
for seed in $seeds; do
  jobs=(--cuda-cmd "$cuda_cmd" --ngpu "$ngpu" --nj "$nj" --set "seed=$seed")
  if [ "$ft" != none ] && at_stage 3 "cross-validation"; then
    local/finetune_folds.sh "${jobs[@]}" $(on train) "${options[@]}" "$cut" "$exps/${name}_cv$cv/seed$seed"
  fi
  if [ "$ft" != none ] && at_stage 4 "test part"; then
    local/finetune_folds.sh "${jobs[@]}" $(on test) "${options[@]}" "$final" "$exps/${name}_test/seed$seed"
  fi
done

# shellcheck disable=SC2046
if [ -n "$init_from" ] && { [ -n "$probes" ] || [ "$mmse" = true ]; } && at_stage 5 "probes"; then
  jobs=(--cmd "$train_cmd" --nj "$nj") emb=${probed}_emb
  untrained=false
  [ "$init" = true ] || untrained=true
  local/embed.sh --cmd "$cuda_cmd" --ngpu "$ngpu" --nj "$nj" --model "$init_from" --layer "$layer" \
    --untrained "$untrained" "$root/adress_packed" "$emb"
  local/probe_folds.sh "${jobs[@]}" $(on train) --probes "$probes" "$emb" "$cut" "${probed}_cv$cv"
  local/probe_folds.sh "${jobs[@]}" $(on test) --labels "$root/adress_packed/utt2diagnosis" --tested "$root/adress_test/utt2diagnosis" \
    --probes "$probes" "$emb" "$final" "${probed}_test"
  if [ "$mmse" = true ]; then
    local/make_mmse_folds.sh --cv "$cv" "$root/adress_train_packed" "$root/mmse"
    local/probe_folds.sh "${jobs[@]}" --target regression --probes ridge --labels "$root/mmse/utt2mmse" --pool mean \
      --groups "$root/mmse/utt2spk" "$emb" "$root/mmse/folds_$cv" "${probed}_mmse_cv$cv"
  fi
fi

if at_stage 6 "RESULTS.md"; then
  python3 local/show_classes.py --out $exps/RESULTS.md $exps
fi
