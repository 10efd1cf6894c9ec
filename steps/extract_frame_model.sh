#!/usr/bin/env bash
# Extracts one embedding per utterance by a frame-level self-supervised model (wav2vec 2.0, HuBERT, WavLM), pooled over time: reads a
# data directory of 16 kHz audio and a checkpoint file, writes OUTDIR/xvector.{scp,N.ark} and OUTDIR/provenance.json.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4               # number of parallel jobs, and of archives; each holds the model in memory
ngpu=0             # 0: on the CPU; else the jobs are shared by this many GPUs
layer=mean         # a transformer layer, from 1 on | mean: the mean of all layers
pooling=mean       # mean | meanstd: over time, the mean alone or the standard deviation too
normalise=auto     # waveforms to mean 0 and variance 1: true | false | auto: as the published weights of ARCH want it
seed=              # seed of the weights where CHECKPOINT is random; empty: 0
allow_pipes=false  # true: run the entries of DATA/wav.scp that are commands
help_message="usage: $0 [--cmd C] [--nj N] [--ngpu N] [--layer L|mean] [--pooling mean|meanstd] [--seed S] ARCH CHECKPOINT DATA OUTDIR
ARCH: wav2vec2_{base,large,large_lv60k,xlsr_300m,xlsr_1b,xlsr_2b}, hubert_{base,large,xlarge}, wavlm_{base,large}.
CHECKPOINT: a local file with the state_dict that a bundle of torchaudio.pipelines uses, e.g. wav2vec2_fairseq_base_ls960.pth,
       or the word random: an untrained model, a baseline. Nothing is downloaded."
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/done.sh
. "$SSLSPK_ROOT"/utils/utterances.sh
[ $# -eq 4 ] || { echo "$help_message" >&2; exit 1; }
arch=$1 checkpoint=$2 data=$3 out=$4

die() { echo "$0: error: $*" >&2; exit 1; }
case $pooling in mean|meanstd) ;; *) die "--pooling takes mean or meanstd, not '$pooling'" ;; esac
case $normalise in auto|true|false) ;; *) die "--normalise takes auto, true or false, not '$normalise'" ;; esac
[[ $layer =~ ^(mean|[1-9][0-9]{0,3})$ ]] || die "--layer takes a number from 1 on, or mean, not '${layer:0:40}'"
[[ $seed =~ ^(|0|[1-9][0-9]{0,8})$ ]] || die "--seed takes a whole number of at most 9 digits, not '${seed:0:40}'"
utterance_tables "$data"
inputs=("${audio_tables[@]}")
if [ "$checkpoint" != random ]; then
  [ -s "$checkpoint" ] || die "there is no checkpoint $checkpoint; check the name, or give the word random for an untrained model"
  [ -z "$seed" ] || die "--seed is for untrained models; leave it out, or give the word random in place of $checkpoint"
  inputs+=("$checkpoint")
fi
[ -f "$data/wav.scp" ] || die "$data has no wav.scp, and $arch reads audio; run the stage that prepares it"
key="extract_frame_model $arch $checkpoint $layer $pooling $normalise ${seed:-0}"
done_own "$out" "$out"/xvector.*
if done_skip "$out" "$key" "${inputs[@]}" -- "$out"/{xvector.scp,provenance.json}; then echo "$0: $out is up to date, skipped"; exit 0; fi

"$SSLSPK_ROOT"/utils/validate_data_dir.sh --no-feats --no-wav --allow-pipes "$allow_pipes" "$data"
# An earlier run's table would point into archives that are about to change.
rm -f "$out"/xvector.*
total=$(wc -l < "$utts")
[ "$nj" -le "$total" ] || nj=$total
"$SSLSPK_ROOT"/utils/split_data.sh --work "$out" "$data" "$nj"   # DATA is only read
options=(--layer "$layer" --pooling "$pooling" --normalise "$normalise" --seed "${seed:-0}" --allow-pipes "$allow_pipes")
mkdir -p "$out/log"
gpus=(--gpu 0) gpu=-1
[ "$ngpu" -eq 0 ] || gpus=(--gpu 1 --max-jobs-run "$ngpu") gpu=0   # each job sees one GPU, its own
launch "$cmd" "${gpus[@]}" JOB=1:"$nj" "$out/log/extract.$JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.extract_frame_model "${options[@]}" --gpu "$gpu" \
  "$arch" "$checkpoint" "$out/split$nj/$JOB" "$out/xvector.$JOB.ark" "$out/xvector.$JOB.scp"
python3 -m sslspk.bin.merge_tables --jobs "$nj" --ids "$utts" --logs "$out/log" "$out/xvector.JOB.scp" "$out/xvector.scp"
rm -rf "$out/split$nj"
done_mark "$out" "$key" "${inputs[@]}"
