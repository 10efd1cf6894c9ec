#!/usr/bin/env bash
# Emotion from speech on IEMOCAP: fine-tunes an encoder fold by fold, and trains probes on frozen embeddings.
#   ./run.sh --mini true                      the same stages on a corpus that is synthesised here, from scratch
#   ./run.sh --iemocap /corpora/IEMOCAP --init-from ../voxceleb/exp/dino_lresnet34/final.pt --ft step2 --ngpu 4
# Stages: 0 prepare, 1 audio and noises, 2 folds, 3 fine-tune and score, 4 probes, 5 RESULTS.md
set -euo pipefail
stage=0             # first stage to run
stop_stage=5        # last stage to run
iemocap=            # folder with Session1 ... Session5
init_from=          # start from this: final.pt of any recipe, or "ARCH CHECKPOINT"; empty: from scratch, conf/scratch.yaml
init=true           # false: the architecture of --init-from with fresh weights
ft=once             # once | step1: classifier and last affine layers | step2: step1, then everything | none: probes alone
step1=affine        # head: step1 trains the classifier alone
probes="logistic"   # probes on the embeddings of --init-from, e.g. "logistic linear_svm mlp knn plda"; empty: none
layer=              # probe this layer in place of the embedding: its name, such as pooling; for "ARCH CHECKPOINT" its number
folds=session       # session: 5, one session held out in turn | speaker: 10, one speaker in turn
classes="angry happy neutral sad"   # emotions to keep
merge_excited=false # true: excited counts as happy
kind=all            # all | improvised | scripted
valid_share=0       # share of the training speakers held out to choose the best epoch; 0: take the weights of the last epoch
seconds=            # crops in training, pieces in testing; full: whole utterances (in training up to 20 s); empty: as conf/ft, whole
seeds=0             # e.g. "0 1 2": everything is trained with each, the table gives their mean
musan=              # folder of MUSAN: noise in training; needs --augment true to have an effect
rirs=               # folder RIRS_NOISES: the same for reverberation
augment=false       # true: noise and rooms in training
ngpu=0              # GPUs, one per fold; 0: CPU
nj=2                # parallel jobs for everything else
cmd=                # where jobs run; empty: as cmd.sh says
mini=false          # true: synthesise the corpora, a small model
synth=              # for the synthesiser, e.g. --synth="--emotion-utts 12" (see tools/make_synth_corpus.py --help)
tag=                # suffix of the experiment's name, for variants
print_name=false    # true: print the names of the fine-tuning's and the probes' experiments, and end
set=()              # overrides of the fine-tuning, e.g. --set train.epochs=40
help_message="usage: $0 [--iemocap DIR] [--init-from MODEL] [--ft once|step1|step2|none] [--stage N] [--ngpu N] [--mini true] ..."
. "$(dirname "$0")/path.sh"
. ./cmd.sh
. utils/parse_options.sh
. utils/models.sh
. utils/stages.sh
set -f   # a name with * or ? in it is no pattern
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -eq 0 ] || die "'$1' is no option; see $0 --help"
[ -z "$cmd" ] || train_cmd=$cmd cuda_cmd=$cmd
case $folds in session) by=utt2session ;; speaker) by=utt2spk ;; *) die "--folds takes session or speaker, not '$folds'" ;; esac
case $kind in all|improvised|scripted) ;; *) die "--kind takes all, improvised or scripted, not '$kind'" ;; esac
case $ft in once|step1|step2|none) ;; *) die "--ft takes once, step1, step2 or none, not '$ft'" ;; esac
model_require "$init_from"
[ -n "$init_from" ] || [[ $ft = once || $ft = none ]] || die "--ft $ft is for weights that were learnt before; give --init-from"
data=data exps=exp scratch=conf/scratch.yaml
if [ "$mini" = true ]; then
  data=data_mini exps=exp_mini scratch=conf/mini/scratch.yaml corpora=data_mini/corpora
  : "${iemocap:=$corpora/IEMOCAP}"
  if [ "$augment" = true ]; then
    : "${musan:=$corpora/musan}" "${rirs:=$corpora/RIRS_NOISES}"
  fi
fi
all=$data/iemocap cut=$data/folds_$folds start=scratch fresh=
[ "$init" = true ] || fresh=_fresh
[ "$valid_share" = 0 ] || cut=${cut}_valid$valid_share
[ -z "$init_from" ] || start=$(model_name "$init_from")   # named after the system that it is
noisy=
[ "$augment" = false ] || noisy=_noisy
name=$start${fresh}_${ft}_$folds${seconds:+_${seconds}s}$noisy${tag:+_$tag}
probed=$exps/probes_$start${fresh}_$folds${layer:+_$layer}${tag:+_$tag}
[ "$print_name" = false ] || { printf '%s\n' "$exps/$name" "$probed"; exit; }

if at_stage 0 "prepare"; then
  # shellcheck disable=SC2086  # --synth holds several words
  [ "$mini" = false ] || python3 "$SSLSPK_ROOT/tools/make_synth_corpus.py" --nj "$nj" \
    --only "iemocap$([ "$augment" = false ] || echo " musan rirs")" $synth $corpora
  [ -n "$iemocap" ] || die "--iemocap names no folder; give IEMOCAP's, or try --mini true"
  local/prepare_iemocap.py --nj "$nj" --classes "$classes" --merge-excited "$merge_excited" --kind "$kind" "$iemocap" $data
  [ -z "$musan" ] || local/prepare_musan.py --nj "$nj" "$musan" $data
  [ -z "$rirs" ] || local/prepare_rirs.py --nj "$nj" "$rirs" $data
fi

if at_stage 1 "audio and noises"; then
  steps/pack_audio.sh --cmd "$train_cmd" --nj "$nj" "$all" "${all}_packed"
  [ "$augment" = false ] || steps/make_augment_lists.sh --cmd "$train_cmd" --nj "$nj" $data $data/augment
fi

if at_stage 2 "folds"; then
  utils/make_folds.sh --by $by --labels utt2emotion --valid-share "$valid_share" "${all}_packed" "$cut"
fi

options=(--ft "$ft" --step1 "$step1" --init-from "$init_from" --init "$init" --scratch "$scratch" --seconds "$seconds")
for item in "${set[@]}"; do
  options+=(--set "$item")
done
[ "$augment" = false ] || options+=(--set "augment.dir=$data/augment")
if [ "$ft" != none ] && at_stage 3 "fine-tune and score"; then
  for seed in $seeds; do
    local/finetune_folds.sh --cuda-cmd "$cuda_cmd" --ngpu "$ngpu" --nj "$nj" --labels "$all/utt2emotion" \
      "${options[@]}" --set "seed=$seed" "$cut" "$exps/$name/seed$seed"
  done
fi

if [ -n "$init_from" ] && [ -n "$probes" ] && at_stage 4 "probes"; then
  untrained=false
  [ "$init" = true ] || untrained=true
  local/embed.sh --cmd "$cuda_cmd" --ngpu "$ngpu" --nj "$nj" --model "$init_from" --layer "$layer" \
    --untrained "$untrained" "${all}_packed" "$probed/emb"
  local/probe_folds.sh --cmd "$train_cmd" --nj "$nj" --labels "$all/utt2emotion" --probes "$probes" "$probed/emb" "$cut" "$probed"
fi

if at_stage 5 "RESULTS.md"; then
  python3 local/show_classes.py --out $exps/RESULTS.md $exps
fi
