#!/usr/bin/env bash
# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG [WORK_DIR] [train.py arguments]
# GPUS processes, one for each GPU; GRES= (empty) for CPUs alone.
set -euo pipefail

usage='usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG [WORK_DIR] [train.py arguments]
environment: GPUS=8 GPUS_PER_NODE=8 CPUS_PER_TASK=5 GRES=gpu:8 SRUN_ARGS= PYTHON=python'
if [[ $# -lt 3 ]]; then
    echo "$usage" >&2
    exit 2
fi
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
# What a stopped run prints for its resumption.
export HPML_MM_LAUNCHER="bash"$'\n'"$0"$'\n'"$1"$'\n'"$2"$'\n'"$3"
partition=$1
job_name=$2
config=$3
shift 3
if [[ $# -gt 0 && $1 != -* ]]; then
    set -- --work-dir "$@"
fi
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
gres=${GRES-gpu:$per_node}

# shellcheck disable=SC2086  # SRUN_ARGS are several words
exec srun --partition="$partition" --job-name="$job_name" ${gres:+--gres="$gres"} \
    --ntasks="$gpus" --ntasks-per-node="$per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$tools/train.py" "$config" --launcher slurm "$@"
