#!/usr/bin/env bash
# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# usage: tools/dist_train.sh CONFIG N [train.py arguments]
# N processes on this node, one for each GPU or, without one, on the CPU.
# Several nodes: run it on each with NNODES, NODE_RANK and MASTER_ADDR set.
# A run that is told to stop may take TORCH_ELASTIC_SHUTDOWN_TIMEOUT seconds (120) to
# end an iteration and save before it is killed. Before torch 2.12 these are always 30.
# With MAX_RESTARTS=n a run of which a process dies goes on from its last checkpoint, up
# to n times.
set -euo pipefail

usage='usage: tools/dist_train.sh CONFIG N [train.py arguments]
environment: NNODES=1 NODE_RANK=0 MASTER_ADDR=127.0.0.1 PORT=29500 PYTHON=python MAX_RESTARTS=0'
if [[ $# -lt 2 || ! $2 =~ ^[1-9][0-9]*$ ]]; then
    echo "$usage" >&2
    exit 2
fi
config=$1
processes=$2
shift 2

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
# What a stopped run prints for its resumption.
export HPML_MM_LAUNCHER="bash"$'\n'"$0"$'\n'"$config"$'\n'"$processes"

export TORCH_ELASTIC_SHUTDOWN_TIMEOUT="${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-120}"
exec "${PYTHON:-python}" -m hpml_mm.cli.torchrun \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --nproc_per_node="$processes" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --max_restarts="${MAX_RESTARTS:-0}" \
    "$tools/train.py" "$config" --launcher pytorch "$@"
