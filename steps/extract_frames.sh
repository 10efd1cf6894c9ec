#!/usr/bin/env bash
# Extracts the frame-level output of a trained encoder: reads a data directory and a model, writes OUTDIR/feats.{scp,N.ark} as features in
# Kaldi's format, utt2num_frames, frame_shift (seconds) and provenance.json, which names the model and the data.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4               # number of parallel jobs, and of archives
ngpu=0             # 0: on the CPU; else the jobs are shared by this many GPUs
weights=           # which encoder of the model (DINO: teacher, student); empty: the model's own choice
layer=             # write the output of this layer in place of what is pooled: its name, or of a Transformer its number (0: its input)
untrained=false    # true: the same architecture with its initial weights, a baseline
window=60          # seconds; longer recordings are read in windows of that length, so that memory is bounded; 0: always whole
margin=1           # seconds at both ends of a window whose frames are taken from its neighbours
compress=false     # true: one byte per value, as Kaldi's; false: float32
allow_pipes=false  # true: run the entries of DATA/wav.scp that are commands
help_message="usage: $0 [--cmd C] [--nj N] [--ngpu N] [--weights W] [--layer L] [--untrained true|false] [--window S] [--margin S]
       [--compress true] [--allow-pipes true] DATA MODEL OUTDIR
MODEL: final.pt, the folder of a training, or one that sslspk export wrote.
Where an encoder sees further than the margin (recurrent ones, squeeze and excitation, attention), windows change its frames."
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/models.sh
. "$SSLSPK_ROOT"/utils/done.sh
. "$SSLSPK_ROOT"/utils/extraction.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
data=$1 model=$(model_word "$2") out=$3

extraction_begin extract_frames feats "$weights $untrained $layer $window $margin $compress" "$out"/{utt2num_frames,frame_shift}
launch "$cmd" "${gpus[@]}" JOB=1:"$nj" "$out/log/extract.$JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.extract_frames "${options[@]}" --gpu "$gpu" --window "$window" --margin "$margin" \
  --compress "$compress" "$out/split$nj/$JOB" "$model" "$out/feats.$JOB.ark" "$out/feats.$JOB.scp"
extraction_end "$out/feats.JOB.scp.utt2num_frames" "$out/utt2num_frames" "$out/feats.JOB.scp" "$out/feats.scp"
rm -f "$out"/feats.*.scp.utt2num_frames
