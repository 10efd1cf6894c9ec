# Sourced by the steps that run a trained model over the utterances of a data directory: what comes before and after their jobs.
#
#     extraction_begin extract_frames feats "$words"     # ends the script where nothing has changed; sets nj, options, gpus and gpu
#     launch "$cmd" "${gpus[@]}" JOB=1:"$nj" "$out/log/extract.$JOB.log" ... "${options[@]}" --gpu "$gpu" "$out/split$nj/$JOB" "$model" ...
#     extraction_end "$out/feats.JOB.scp" "$out/feats.scp"
#
# The script has set data, model (a final.pt, or "ARCH CHECKPOINT"), out, nj, ngpu, weights, layer, untrained and allow_pipes. utils/done.sh is sourced.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034
. "$SSLSPK_ROOT"/utils/utterances.sh
. "$SSLSPK_ROOT"/utils/models.sh

extraction_begin() {  # PROGRAM TABLE WORDS [OUTPUT...]: TABLE is xvector or feats; WORDS: what the result depends on beside model and data
  model_weights=$(model_file "$model")
  [ -s "$model_weights" ] || { echo "$0: error: there is no $model_weights; train it with steps/train.sh" >&2; exit 1; }
  utterances_of "$data"
  _key="$1 $3" _outputs=("$out/$2.scp" "$out/provenance.json" "${@:4}")
  done_own "$out" "$out/$2".*
  if done_skip "$out" "$_key" "${source_tables[@]}" "$model_weights" -- "${_outputs[@]}"; then echo "$0: $out is up to date, skipped"; exit 0; fi

  "$SSLSPK_ROOT"/utils/validate_data_dir.sh --no-feats --no-wav --allow-pipes "$allow_pipes" "$data"
  # An earlier run's table would point into archives that are about to change.
  rm -f "$out/$2".*
  local total
  total=$(wc -l < "$utts")
  [ "$nj" -le "$total" ] || nj=$total
  "$SSLSPK_ROOT"/utils/split_data.sh --work "$out" "$data" "$nj"   # DATA is only read
  options=(--allow-pipes "$allow_pipes")
  [ -z "$weights" ] || options+=(--weights "$weights")
  [ "$untrained" = false ] || options+=(--untrained)
  [ -z "$layer" ] || options+=(--layer "$layer")
  mkdir -p "$out/log"
  gpus=(--gpu 0) gpu=-1
  [ "$ngpu" -eq 0 ] || gpus=(--gpu 1 --max-jobs-run "$ngpu") gpu=0   # each job sees one GPU, its own
}

extraction_end() {  # PARTS TABLE...: joins what the jobs wrote, as sslspk.bin.merge_tables takes it
  local n
  for n in $(seq "$nj"); do grep -m1 '^warning: ' "$out/log/extract.$n.log" || [ $? -eq 1 ]; done | awk '!seen[$0]++ && ++shown <= 5' >&2
  python3 -m sslspk.bin.merge_tables --jobs "$nj" --ids "$utts" --logs "$out/log" "$@"
  rm -rf "$out/split$nj"
  done_mark "$out" "$_key" "${source_tables[@]}" "$model_weights"
}
