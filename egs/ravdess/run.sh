#!/usr/bin/env bash
# Emotion from speech on RAVDESS: 24 actors, 8 emotions, two sentences. Fine-tunes an encoder in folds, each of which holds out a group of
# actors, and trains probes on frozen embeddings. The configurations of the fine-tuning are those of egs/iemocap. A new corpus of emotions
# needs a local/prepare_X.py and a script like this.
#   ./run.sh --ravdess /corpora/RAVDESS --init-from ../voxceleb/exp/dino_lresnet34/final.pt --ft step2 --ngpu 4
# Speaker verification across emotions, after stages 0 to 2:
#   cd ../voxceleb; ./run.sh --system NAME --test ../ravdess/data/ravdess_packed \
#     --trials ../ravdess/data/ravdess_packed/trials_across_emotions
# Stages: 0 prepare, 1 audio, 2 folds and trials, 3 fine-tune and score, 4 probes, 5 RESULTS.md
set -euo pipefail
stage=0             # first stage to run
stop_stage=5        # last stage to run
ravdess=            # folder with Actor_01 ... Actor_24, or with the folders that hold these
init_from=          # start from this: final.pt of any recipe, or "ARCH CHECKPOINT"; empty: from scratch, ../iemocap/conf/scratch.yaml
init=true           # false: the architecture of --init-from with fresh weights
ft=once             # once | step1: classifier and last affine layers | step2: step1, then everything | none: probes alone
step1=affine        # head: step1 trains the classifier alone
probes=logistic     # probes on the embeddings of --init-from, e.g. "logistic linear_svm mlp knn plda"; empty: none
layer=              # probe this layer in place of the embedding: its name, such as pooling; for "ARCH CHECKPOINT" its number
folds=group         # group: 6, two men and two women held out in turn | speaker: 24, one actor in turn
classes="neutral calm happy sad angry fearful disgust surprised"   # emotions to keep
kind=speech         # speech | song | all
seconds=            # length of crops in training and of pieces in testing; full: whole utterances; empty: ../iemocap/conf/ft's, and whole
seeds=0             # e.g. "0 1 2": everything is trained with each, the table gives their mean
ngpu=0              # GPUs, one per fold; 0: CPU
nj=2                # parallel jobs for everything else
cmd=                # where jobs run; empty: as cmd.sh says
tag=                # suffix of the experiment's name, for variants
print_name=false    # true: print the names of the fine-tuning's and the probes' experiments, and end
set=()              # overrides of the fine-tuning, e.g. --set train.epochs=40
help_message="usage: $0 --ravdess DIR [--init-from MODEL] [--ft once|step1|step2|none] [--stage N] [--ngpu N] ..."
. "$(dirname "$0")/path.sh"
. ./cmd.sh
. utils/parse_options.sh
. utils/models.sh
. utils/stages.sh
set -f   # a name with * or ? in it is no pattern
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -eq 0 ] || die "'$1' is no option; see $0 --help"
[ -z "$cmd" ] || train_cmd=$cmd cuda_cmd=$cmd
case $folds in group) by=utt2group ;; speaker) by=utt2spk ;; *) die "--folds takes group or speaker, not '$folds'" ;; esac
case $kind in speech|song|all) ;; *) die "--kind takes speech, song or all, not '$kind'" ;; esac
case $ft in once|step1|step2|none) ;; *) die "--ft takes once, step1, step2 or none, not '$ft'" ;; esac
model_require "$init_from"
[ -n "$init_from" ] || [[ $ft = once || $ft = none ]] || die "--ft $ft is for weights that were learnt before; give --init-from"
confs=../iemocap/conf all=data/ravdess cut=data/folds_$folds start=scratch fresh=
[ "$init" = true ] || fresh=_fresh
[ -z "$init_from" ] || start=$(model_name "$init_from")   # named after the system that it is
name=$start${fresh}_${ft}_$folds${seconds:+_${seconds}s}${tag:+_$tag}
probed=exp/probes_$start${fresh}_$folds${layer:+_$layer}${tag:+_$tag}
[ "$print_name" = false ] || { printf '%s\n' "exp/$name" "$probed"; exit; }

if at_stage 0 "prepare"; then
  [ -n "$ravdess" ] || die "--ravdess names no folder; give the one that holds Actor_01 to Actor_24"
  local/prepare_ravdess.py --nj "$nj" --classes "$classes" --kind "$kind" "$ravdess" data
fi

if at_stage 1 "audio"; then
  steps/pack_audio.sh --cmd "$train_cmd" --nj "$nj" "$all" "${all}_packed"
fi

if at_stage 2 "folds and trials"; then
  utils/make_folds.sh --by $by --labels utt2emotion "${all}_packed" "$cut"
  for pairs in across within; do
    steps/make_trials.sh --cmd "$train_cmd" --$pairs "${all}_packed/utt2emotion" "${all}_packed/utt2spk" \
      "${all}_packed/trials_${pairs}_emotions"
  done
fi

if [ "$ft" != none ] && at_stage 3 "fine-tune and score"; then
  for seed in $seeds; do
    local/finetune_folds.sh --cuda-cmd "$cuda_cmd" --ngpu "$ngpu" --nj "$nj" --labels "$all/utt2emotion" --confs $confs/ft \
      --scratch $confs/scratch.yaml --ft "$ft" --step1 "$step1" --init-from "$init_from" --init "$init" --seconds "$seconds" \
      "${set[@]/#/--set=}" --set "seed=$seed" "$cut" "exp/$name/seed$seed"
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
  python3 local/show_classes.py --out exp/RESULTS.md exp
fi
