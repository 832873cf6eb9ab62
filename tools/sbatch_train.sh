#!/usr/bin/env bash
# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
#SBATCH --signal=B:USR1@120 --requeue --open-mode=append
# usage: sbatch [options of the job] tools/sbatch_train.sh CONFIG N [train.py arguments]
# A training of N processes on one node that outlasts its jobs: two minutes before a
# job's time is over it stops with a checkpoint, and a new job goes on from there. A
# preempted job gets SIGTERM, stops in the same way, and SLURM puts it into the queue.
# Submit it from the repository's root. MAX_RESTARTS=3 goes on after crashes as well.
set -euo pipefail

# SLURM runs a copy of this script, in the folder that it was submitted from.
bash "${SLURM_SUBMIT_DIR:-.}/tools/dist_train.sh" "$@" --resume &
training=$!

stop() {
    kill -s "$1" "$training" || true
    wait "$training" || true
}
trap 'stop USR1; scontrol requeue "$SLURM_JOB_ID"; exit 0' USR1
trap 'stop TERM; exit 143' TERM
wait "$training"
