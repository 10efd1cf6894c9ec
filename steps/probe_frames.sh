#!/usr/bin/env bash
# Trains a linear softmax to predict the labels (phones) of frames, and tests it on other speakers: writes OUT/result.json.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
labels=              # folder with ali.scp and ali.json: by steps/align_phones.sh, steps/make_frame_labels.sh, or the corpus' own
test_labels=         # folder with the labels of the test part, if they are in another folder
train=               # data directory that the classifier is trained on
test=                # data directory of other speakers, that the classifier is tested on
frames=100000        # frames to train on at most, evenly spread over the utterances; they take the most memory
test_frames=1000000  # frames to test on at most
ignore=              # classes whose frames are left out, such as sil
weight=1             # weight of the data against the penalty
bootstrap=1000       # replicates of the bootstrap over speakers, for the interval
help_message="usage: $0 [--cmd C] --labels DIR [--test-labels DIR] --train DATA --test DATA [--frames N] [--test-frames N] [--ignore WORDS]
       [--weight W] [--bootstrap N] FEATS [TEST_FEATS] OUT
FEATS/feats.scp: log-mel by steps/make_feats.sh, or the frames of a model by steps/extract_frames.sh; TEST_FEATS where those of the test
part are in another folder.
example: $0 --labels exp/ali/train --test-labels exp/ali/test --train data/train --test data/test data/train data/test exp/probe_mel"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
[ $# -eq 2 ] || [ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
feats=("${@:1:$#-1}") out=${*: -1}

die() { echo "$0: error: $*" >&2; exit 1; }
for option in labels train test; do [ -n "${!option}" ] || die "--$option is needed; see --help."; done
inputs=("$train/utt2spk" "$test/utt2spk" "$labels"/ali.{scp,json} "${feats[@]/%//feats.scp}")
[ -z "$test_labels" ] || inputs+=("$test_labels"/ali.{scp,json})
for file in "${inputs[@]}"; do
  [ -f "$file" ] && [ -s "$file" ] || die "there is no file $file, or it is empty; run the stage that makes it."
done
inputs+=("$labels" ${test_labels:+"$test_labels"})   # the archives in these folders
options=(--labels "$labels" --train "$train" --test "$test" --frames "$frames" --test-frames "$test_frames" --ignore "$ignore" --weight "$weight"
         --bootstrap "$bootstrap")
[ -z "$test_labels" ] || options+=(--test-labels "$test_labels")
key="probe_frames ${options[*]@Q} ${feats[*]@Q}"
if done_skip "$out" "$key" "${inputs[@]}" -- "$out/result.json"; then
  echo "$0: $out is up to date, skipped"
  exit 0
fi

mkdir -p "$out/log"
rm -f "$out/result.json"
launch "$cmd" "$out/log/probe.log" python3 -m sslspk.bin.probe_frames "${options[@]}" "${feats[@]}" "$out"
[ -s "$out/result.json" ] || die "$out/result.json was not written; see $out/log/probe.log, then run the step again."
done_mark "$out" "$key" "${inputs[@]}"
grep '^accuracy ' "$out/log/probe.log"
echo "$0: wrote $out/result.json"
