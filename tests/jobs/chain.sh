#!/usr/bin/env bash
# The whole chain of jobs on a cluster; each hands what it made to the next by its JSON line.
#
#   RAY_API_SERVER_ADDRESS=http://head:8265 VSEP_CATALOG=s3://bucket/music tests/jobs/chain.sh
#
# The cluster's own environment says where storage and tracking are. Further flags go to the two trainings.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

job() { # the job's script and flags -> its JSON line
  local log
  log="$(ray job submit --working-dir . -- python "jobs/$1.py" --preset smoke "${@:2}")" ||
    { tail -n 40 <<<"$log" >&2; return 1; }
  grep '^{"job"' <<<"$log" | tail -n 1 | tee /dev/stderr
}

field() { # a JSON line, the name of a field -> its value
  python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$1" "$2"
}

priors="$(job train_priors "$@")"
separator="$(job train_separator --regime A --force --priors "$(field "$priors" run_id)" "$@")"
model="runs:/$(field "$separator" run_id)/vsep-separator"
job evaluate --model "$model" >/dev/null
job separate_catalog --model "$model" --catalog "$VSEP_CATALOG" >/dev/null
