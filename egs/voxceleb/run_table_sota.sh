#!/usr/bin/env bash
# The best published methods, each without SSPS, with SSPS, and with positives chosen by labels; i-vectors and a supervised network. All are
# trained for the same CPU time, on one training set or several; prints our figures next to the published ones.
# ./run_table_sota.sh --trainset small=/corpora/VoxCeleb1 --trainset large=/corpora/more --musan /corpora/musan --rirs /corpora/RIRS_NOISES
#   ./run_table_sota.sh --trainset small=... --systems "simclr_short ssps_simclr_short" --minutes 90 --seeds "0 1 2"
#   ./run_table_sota.sh --trainset small=... --systems simclr_short --lists dev --tag warm --set method.temperature=0.3   (try a setting)
#   ./run_table_sota.sh --mini true
# Some training speakers are held out: trials between them are the list `dev`, to choose settings by. A system that starts from others
# shares its time with them: C3-DINO and the three systems before it each train for a quarter of the time. Finished parts are kept when a
# system fails or the script is stopped: the same command resumes. Two may run at once with other --systems.
set -euo pipefail
trainset=()        # NAME=FOLDER, a corpus in VoxCeleb1's layout; everything lies in sota/NAME
musan=             # as for run.sh
rirs=              # as for run.sh
encoder=           # systems are called NAME_ENCODER; empty: short, with --mini true tdnn
systems=           # only these, by their whole names; empty: all of the table
minutes=20         # minutes of CPU time for each system, including those that it starts from; 0: the steps of the confs
seeds="0"          # e.g. "0 1 2"
held_out=5         # percent of the training speakers, ten at least, that are held out for the list dev; 0: none
lists="veri_test2 dev"   # what is scored; dev alone to choose settings
asnorm=false       # true: AS-norm as well, which reads no label
tag=               # suffix of the experiments' names, for variants
set=()             # overrides of the systems, e.g. --set method.temperature=0.3; not of those that they start from
nj=2               # parallel jobs for everything but training
ngpu=0             # GPUs for training and extraction
cmd=               # where jobs run; empty: as cmd.sh says
mini=false         # true: on the synthetic corpus
synth=             # for the synthesiser
help_message="usage: $0 --trainset NAME=FOLDER [--trainset ...] [--musan DIR] [--rirs DIR] [--systems 'S ...'] [--minutes M] [--seeds 'N ...'] ..."
. "$(dirname "$0")/path.sh"
. ./cmd.sh
. utils/parse_options.sh
. utils/stages.sh
set -f   # a name with * or ? in it is no pattern
die() { echo "$0: error: $*" >&2; exit 1; }
[ $# -eq 0 ] || die "'$1' is no option; see $0 --help"
[[ $minutes =~ ^[0-9]{1,5}([.][0-9]{1,3})?$ ]] || die "--minutes takes a number, not '${minutes:0:40}'"
[[ $held_out =~ ^[0-9]{1,2}$ ]] || die "--held-out takes a whole number of percent below 100, not '${held_out:0:40}'"
[[ $seeds =~ ^[0-9]{1,9}(\ +[0-9]{1,9})*$ ]] || die "--seeds takes whole numbers, not '${seeds:0:40}'"
[ -z "$cmd" ] || train_cmd=$cmd cuda_cmd=$cmd
confs=conf made=data
if [ "$mini" = true ]; then
  confs=conf/mini made=data_mini
  : "${encoder:=tdnn}" "${systems:=simclr_tdnn ssps_simclr_tdnn ivector_mfcc}"
  [ ${#trainset[@]} -gt 0 ] || trainset=(mini=)
fi
: "${encoder:=short}"
table=(local/show_paper_table.py --table 5 --paper conf/paper.yaml --encoder "$encoder")
[ -n "$systems" ] || systems="ivector_${encoder/ecapa/mfcc} $("${table[@]}" --systems true)"
[ ${#trainset[@]} -gt 0 ] || die "--trainset names no corpus; give NAME=FOLDER, a name of your own and a folder in VoxCeleb1's layout"
# shellcheck disable=SC2086  # several names
require_systems $confs $systems
for one in "${trainset[@]}"; do
  [[ $one =~ ^[A-Za-z0-9-]+= ]] || die "--trainset takes NAME=FOLDER, not '${one:0:60}'"
done
[ "$held_out" != 0 ] || [[ " $lists " != *" dev "* ]] || die "--held-out 0 leaves no list dev; use --lists veri_test2"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}   # the time of two cores that wait for each other is no measure
own=()
for item in ${set[@]+"${set[@]}"}; do
  own+=(--set "$item")
done

prepare() {   # audio, noises and the list dev of one training set; sets part and train
  local whole=$data/voxceleb1_dev_packed number many start
  common=(--work "$work" --mini "$mini" --nj "$nj" --cmd "$cmd" --voxceleb1 "$folder" --lists veri_test2)
  start=("${common[@]}" --system "simclr_$encoder" --musan "$musan" --rirs "$rirs" "--synth=$synth")
  ./run.sh "${start[@]}" --stop-stage 0
  number=$(wc -l < "$data/voxceleb1_dev/spk2utt") part='' train=$whole
  if [ "$held_out" = 0 ]; then
    ./run.sh "${start[@]}" --stage 1 --stop-stage 2
    return
  fi
  many=$(((number * held_out + 99) / 100))
  [ "$many" -ge 10 ] || many=10
  [ "$mini" = false ] || [ "$number" -gt 20 ] || many=$((number / 2))
  [ "$number" -gt $((2 * many - 1)) ] || die "$folder has $number speakers, too few to hold $many out; use --held-out 0"
  part=_spk$((number - many)) train=$whole$part
  ./run.sh "${start[@]}" --speakers $((number - many)) --stage 1 --stop-stage 2
  comm -23 <(cut -d ' ' -f 1 "$whole/spk2utt") <(cut -d ' ' -f 1 "$train/spk2utt") > "$data/held_out_speakers"
  utils/subset_data_dir.sh --spk-list "$data/held_out_speakers" "$whole" "$data/voxceleb1_heldout"
  steps/make_trials.sh --utt2session "$data/voxceleb1_heldout/utt2session" "$data/voxceleb1_heldout/utt2spk" \
    "$data/voxceleb1_heldout/trials_dev"
}

scale=false cohort='' last=5
[ "$encoder" = ecapa ] || scale=true   # the small confs' sizes are those of a corpus of 95 speakers
if [ "$asnorm" = true ]; then
  last=6 cohort=$confs/cohort.yaml
  [ "$encoder" != short ] || cohort=$confs/cohort_short.yaml
fi
number=0
for system in $systems; do
  if [[ $system = ivector_* ]]; then number=$((number + 1)); else number=$((number + $(wc -w <<< "$seeds"))); fi
done
start_count $((number * ${#trainset[@]}))
for one in "${trainset[@]}"; do
  work=sota/${one%%=*} folder=${one#*=} data=sota/${one%%=*}/$made exps=sota/${one%%=*}/exp
  [ "$mini" = false ] || exps=${exps}_mini
  prepare
  for system in $systems; do
    if [[ $system = ivector_* ]]; then
      count_off "$system on $one"
      ./run_ivector.sh "${common[@]}" --system "$system" --lists "$lists" ${part:+--speakers "${part#_spk}"} --asnorm "$asnorm" \
        --stage 3 --stop-stage "$last" || die "$system on $one failed; see above, then run the same command again"
      continue
    fi
    for seed in $seeds; do
      count_off "$system, seed $seed, on $one"
      local/timed_system.sh --cmd "$train_cmd" --cuda-cmd "$cuda_cmd" --nj "$nj" --ngpu "$ngpu" --conf "$confs/$system.yaml" --seed "$seed" \
        --minutes "$minutes" --part "$part" --tag "$tag" --scale "$scale" "${own[@]}" --lists "$lists" --asnorm "$cohort" \
        "$train" "$data" "$exps" || die "$system on $one failed; see above, then run the same command again"
    done
  done
  python3 local/show_table.py --out "$exps/RESULTS.md" --data "$data" "$exps" > /dev/null
  time=
  [ "$minutes" = 0 ] || time=${minutes}min
  "${table[@]}" --part "${part#_}" --tag "$time${tag:+_$tag}" --out "$exps/TABLE_SOTA.md" "$exps"
done
