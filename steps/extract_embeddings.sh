#!/usr/bin/env bash
# Extracts one embedding per utterance: reads a data directory and a model, writes OUTDIR/xvector.{scp,N.ark}
# and OUTDIR/provenance.json, which names the model and the data. With --checkpoint the checkpoint's model is first written to MODEL_stepN.
set -euo pipefail
cmd=utils/run.pl   # how jobs are started: utils/run.pl, utils/queue.pl or utils/slurm.pl
nj=4               # number of parallel jobs, and of archives
ngpu=0             # 0: on the CPU; else the jobs are shared by this many GPUs
weights=           # which encoder of the model (DINO: teacher, student); empty: the model's own choice
layer=             # a layer inside the encoder, averaged over time, in place of its embedding, e.g. pooling
untrained=false    # true: the same architecture with its initial weights, a baseline
checkpoint=        # the step of a checkpoint, newest, or best (train.eval_data): MODEL is the folder of a training, which may still run
allow_pipes=false  # true: run the entries of DATA/wav.scp that are commands
help_message="usage: $0 [--cmd C] [--nj N] [--ngpu N] [--weights W] [--layer L] [--untrained true|false] [--checkpoint STEP]
       [--allow-pipes true] DATA MODEL OUTDIR
       MODEL: final.pt, the folder of a training or one that sslspk export wrote, or \"NAME FILE\" of docs/export.md"
echo "$0 $*"
. "$(dirname "$0")/../utils/environment.sh"
. "$SSLSPK_ROOT"/utils/parse_options.sh
. "$SSLSPK_ROOT"/utils/launch.sh
. "$SSLSPK_ROOT"/utils/models.sh
. "$SSLSPK_ROOT"/utils/done.sh
. "$SSLSPK_ROOT"/utils/extraction.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }
data=$1 model=$2 out=$3
[ -z "$checkpoint" ] || model=$("$SSLSPK_ROOT"/local/checkpoint_models.py --step "$checkpoint" "$model")
model=$(model_word "$model")

extraction_begin extract_embeddings xvector "$weights $untrained${layer:+ $layer}"
launch "$cmd" "${gpus[@]}" JOB=1:"$nj" "$out/log/extract.$JOB.log" \
  OMP_NUM_THREADS=1 python3 -m sslspk.bin.extract_embeddings "${options[@]}" --gpu "$gpu" \
  "$out/split$nj/$JOB" "$model" "$out/xvector.$JOB.ark" "$out/xvector.$JOB.scp"
extraction_end "$out/xvector.JOB.scp" "$out/xvector.scp"
