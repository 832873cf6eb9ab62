#!/usr/bin/env bash
# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# usage: tools/dist_test.sh CONFIG CHECKPOINT N [test.py arguments]
# N processes on this node, one for each GPU or, without one, on the CPU.
# Several nodes: run it on each with NNODES, NODE_RANK and MASTER_ADDR set.
set -euo pipefail

usage='usage: tools/dist_test.sh CONFIG CHECKPOINT N [test.py arguments]
environment: NNODES=1 NODE_RANK=0 MASTER_ADDR=127.0.0.1 PORT=29500 PYTHON=python'
if [[ $# -lt 3 || ! $3 =~ ^[1-9][0-9]*$ ]]; then
    echo "$usage" >&2
    exit 2
fi
config=$1
checkpoint=$2
processes=$3
shift 3

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"

exec "${PYTHON:-python}" -m hpml_mm.cli.torchrun \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --nproc_per_node="$processes" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    "$tools/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
