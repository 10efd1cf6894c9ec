#!/usr/bin/env bash
# Trains a small CTC phone recogniser on DATA and aligns the transcripts by it: writes OUT/{recogniser.pt,ali.{scp,N.ark,json}}, and with
# --test phone_errors.json. The training resumes at its last epoch. Utterances that are too short for their transcript get no labels.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4               # number of parallel jobs that align, and of archives; threads of the training
conf=              # YAML of the recogniser; empty: defaults (sslspk/train/config_phones.py)
set=()             # KEY=VALUE, overrides the conf, e.g. --set epochs=10
phones=            # transcripts, `utt phone phone ...`; empty: DATA/phones
lexicon=           # pronunciations, `WORD phone phone ...`: the words of DATA/text are read in place of DATA/phones
test=              # data directory of other speakers, to measure the phone error rate on
model=             # OUT of another run: DATA is aligned by its recogniser, and none is trained
help_message="usage: $0 [--cmd C] [--nj N] [--conf C] [--set k=v]... [--phones FILE] [--lexicon FILE] [--test DATA] [--model DIR] DATA OUT
DATA/feats.scp: log-mel by steps/make_feats.sh. DATA/phones: the phones of each utterance, without silences (docs/data_directories.md).
example: $0 --test data/test data/train exp/ali/train
         $0 --model exp/ali/train data/test exp/ali/test"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 2 ] || { echo "$help_message" >&2; exit 1; }
data=$1 out=$2

die() { echo "$0: error: $*" >&2; exit 1; }
said=$data/phones inputs=()
[ -z "$lexicon" ] || said=$data/text
[ -z "$phones" ] || said=$phones
[ -z "$conf" ] || [ -f "$conf" ] || die "there is no configuration $conf; check --conf."
[ -s "$data/feats.scp" ] || die "there is no $data/feats.scp; run steps/make_feats.sh."
[ -s "$said" ] || die "there is no $said, or it is empty; it says the phones of each utterance (docs/data_directories.md)."
options=() files=() text=
[ -z "$phones" ] || files+=(--phones "$phones")
for item in ${set[@]+"${set[@]}"}; do options+=("--set=$item"); done
[ -z "$conf" ] || options+=(--conf "$conf") text=$(done_conf "$conf")
[ -z "$test" ] || options+=(--test "$test")
inputs=("$said" "$data/feats.scp")
[ -z "$lexicon" ] || { [ -s "$lexicon" ] || die "there is no lexicon $lexicon; check --lexicon."; inputs+=("$lexicon"); files+=(--lexicon "$lexicon"); }
[ -z "$test" ] || { [ -s "$test/feats.scp" ] || die "there is no $test/feats.scp; run steps/make_feats.sh."; inputs+=("$test/feats.scp"); }
if [ -n "$model" ]; then
  [ -z "$test$conf${set[*]-}" ] || die "--model trains nothing; leave out --test, --conf and --set."
  [ -s "$model/recogniser.pt" ] || die "there is no $model/recogniser.pt; give --model the OUT of another run of this step."
  [ ! "$model" -ef "$out" ] || die "--model and OUT are one folder, $out; give another OUT."
  inputs+=("$model/recogniser.pt")
fi
used=${model:-$out} key="align_phones ${options[*]+${options[*]@Q}} ${files[*]+${files[*]@Q}} $text" arks=()
total=$(grep -c "" "$data/feats.scp")
jobs=$((nj < total ? nj : total))
for n in $(seq "$jobs"); do arks+=("$out/ali.$n.ark"); done
[ -n "$model" ] || arks+=("$out/recogniser.pt")
done_own "$out" "$out"/ali.* "$out/recogniser.pt"
if done_skip "$out" "$key" "${inputs[@]}" -- "$out"/ali.{scp,json} "${arks[@]}"; then echo "$0: $out is up to date, skipped"; exit 0; fi

mkdir -p "$out/log"
rm -f "$out"/ali.*
if [ -z "$model" ]; then
  export SSLSPK_FOLLOW="*"   # the launcher shows the newest line of the log
  launch "$cmd" --num-threads "$nj" "$out/log/train.log" OMP_NUM_THREADS="$nj" python3 -m sslspk.bin.align_phones train \
    --threads "$nj" ${options[@]+"${options[@]}"} ${files[@]+"${files[@]}"} "$used" "$data"
  grep -m 5 '^warning: ' "$out/log/train.log" >&2 || [ $? -eq 1 ]
  grep -E '^(epoch|held-out:|CPU time)' "$out/log/train.log" | tail -n 3
fi
launch "$cmd" JOB=1:"$jobs" "$out/log/align.$JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.align_phones align --parts "$jobs" --part "$JOB" ${files[@]+"${files[@]}"} "$out" "$used" "$data"
launch "$cmd" "$out/log/join.log" python3 -m sslspk.bin.align_phones join --parts "$jobs" "$out" "$used"
got=$(grep -c "" "$out/ali.scp")
if [ "$got" -lt "$total" ]; then
  grep -hm 5 '^warning: ' "$out"/log/align.*.log >&2 || [ $? -eq 1 ]
  echo "$0: warning: $((total - got)) of $total utterances are too short for their transcript and have no labels"
fi
done_mark "$out" "$key" "${inputs[@]}"
echo "$0: wrote $out/ali.scp, phones of $got utterances"
