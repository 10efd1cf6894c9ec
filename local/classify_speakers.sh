#!/usr/bin/env bash
# Speaker classification with one share of the labels: heads on the frozen embeddings of a system and of its untrained encoder, and the same
# network trained from scratch. Reads SPLIT/{train,valid,test} and EXP/emb_VARIANT/NAME, writes EXP/speakers/SHARE/VARIANT_HEAD/result.json.
set -euo pipefail
train_cmd=utils/run.pl  # how jobs are started on the CPU: utils/run.pl, utils/queue.pl or utils/slurm.pl
cuda_cmd=utils/run.pl  # how trainings are started
ngpu=0             # number of GPUs; 0: CPU
labels=                  # the table of speakers of all parts, such as data/librispeech_first/utt2spk
name=librispeech_first   # name of the embeddings
share=100                # % of the training part, drawn at random; a larger share holds a smaller one
seed=0                   # seed of the drawing and of the heads
variants="encoder untrained"   # embeddings to classify: encoder, untrained, supervised
heads="linear mlp"  # classifiers: CONFS/NAME.yaml
confs=conf/head          # its HEAD.yaml
supervised=              # another folder for its supervised_HEAD.yaml
set=()                   # KEY=VALUE, overrides of the supervised training
epoch=16                 # least steps of a pass: a small share is gone through several times
help_message="usage: $0 [--train-cmd C] [--cuda-cmd C] [--ngpu N] [--share %] [--seed N]
       [--variants 'V ...'] [--heads 'H ...'] --labels TABLE SPLIT EXP"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. utils/parse_options.sh; set -f   # what is in a list of names is no pattern
. utils/done.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
split=$1 exp=$2

die() { echo "$0: error: $*" >&2; exit 1; }
[[ $share =~ ^([1-9][0-9]?|100)$ ]] || die "--share takes a whole percentage from 1 to 100, not '${share:0:20}'."
[ -s "$labels" ] || die "--labels names no table of speakers ('$labels')."
for part in train valid test; do [ -s "$split/$part/utt2spk" ] || die "there is no $split/$part; divide the data first (stage 1)."; done
for variant in $variants; do
  case $variant in encoder|untrained|supervised) ;; *) die "--variants takes encoder, untrained and supervised, not '$variant'." ;; esac
done
out=$exp/speakers/$share own=$split/share${share}_seed$seed places=() inputs=("$labels" "$split"/{train,valid,test} "$exp/final.pt")   # data directories
for head in $heads; do
  for variant in $variants; do places+=("$out/${variant}_$head"); done
done
for variant in $variants; do [ "$variant" = supervised ] || inputs+=("$exp/emb_$variant/$name/xvector.scp"); done
key="classify_speakers $share $seed $variants $heads $epoch ${set[*]} $(done_conf "$confs"/*.yaml ${supervised:+"$supervised"/*.yaml})" stamp=$out/.${variants// /_}_${heads// /_}
if done_skip "$stamp" "$key" "${inputs[@]}" -- "${places[@]/%//result.json}"; then echo "$0: $out is up to date, skipped"; exit 0; fi

all=$(wc -l < "$split/train/utt2spk")
count=$(( (share * all + 50) / 100 )); [ "$count" -gt 1 ] || count=2
utils/subset_data_dir.sh --random --seed "$seed" "$split/train" "$count" "$own/train"
# A small share has no label of some speakers: their validation utterances are left out, their test utterances count as wrong.
awk 'NR == FNR { known[$2] = 1; next } $2 in known { print $1 }' "$own/train/utt2spk" "$split/valid/utt2spk" > "$own/.valid"
[ -s "$own/.valid" ] || die "no validation utterance is of a speaker of $own/train; give a larger --share than $share."
utils/subset_data_dir.sh --utt-list "$own/.valid" "$split/valid" "$own/valid"
batch=$((count < 64 ? count : 64))
times=$(( (epoch * batch + count - 1) / count ))
for head in $heads; do
  for variant in $variants; do
    place=$out/${variant}_$head
    if [ "$variant" = supervised ]; then
      mkdir -p "$place"
      precision=$(python3 -m sslspk.bin.show_config --conf "$exp/config.yaml" train.precision)
      python3 -m sslspk.bin.show_config --encoder-of "$exp/final.pt" --conf "${supervised:-$confs}/supervised_$head.yaml" > "$place/.conf.yaml"
      steps/train.sh --cmd "$cuda_cmd" --ngpu "$ngpu" --conf "$place/.conf.yaml" --set "seed=$seed" --set "data.batch_size=$batch" \
        --set "data.draws_per_epoch=$times" --set "train.valid=$own/valid" --set train.patience=5 --set "train.precision=$precision" \
        "${set[@]/#/--set=}" "$own/train" "$place"
      steps/classify.sh --cmd "$cuda_cmd" --ngpu "$ngpu" "$split/test" "$place" "$place/test"
      predictions=$place/test/predictions.tsv
    else
      steps/probe.sh --cmd "$train_cmd" --conf "$confs/$head.yaml" --set "seed=$seed" --set "iterations=$((50 * times))" \
        --set "patience=$((5 * times))" --labels "$labels" --train "$own/train" --valid "$own/valid" --test "$split/test" \
        "$exp/emb_$variant/$name" "$place"
      predictions=$place/predictions.tsv
    fi
    steps/score_classes.sh --cmd "$train_cmd" --labels "$split/test/utt2spk" --unseen wrong "$predictions" "$place"
  done
done
done_mark "$stamp" "$key" "${inputs[@]}"
