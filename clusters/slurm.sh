#!/bin/bash
# Trains a suite on the hosts of a Slurm job, from the root of the repository, in a folder that all hosts see:
#
#     sbatch --nodes=4 clusters/slurm.sh --suite ablations --budget standard
#
# Two minutes before the job's time is up, and when it is preempted, the run leaves checkpoints and the job is queued
# again: the same command goes on.
#SBATCH --job-name=bench
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=1
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append

set -euo pipefail

cd "${SLURM_SUBMIT_DIR:?submit this with sbatch}"
export PATH="$PWD/.venv/bin:$PATH"
export RAY_AUTH_MODE=token  # of ~/.ray/auth_token, which all hosts see: who has it may run code on the workers
[ -e "$HOME/.ray/auth_token" ] || ray get-auth-token --generate > /dev/null

head_host=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)
head_ip=$(srun --nodes=1 --ntasks=1 --nodelist="$head_host" hostname --ip-address | awk '{print $1}')
address="$head_ip:$((20000 + SLURM_JOB_ID % 20000))"
options=(--num-cpus "${SLURM_CPUS_PER_TASK:-1}" --disable-usage-stats --block)
[ -z "${SLURM_GPUS_ON_NODE:-}" ] || options+=(--num-gpus "$SLURM_GPUS_ON_NODE")

srun --nodes=1 --ntasks=1 --nodelist="$head_host" --overlap \
    ray start --head --node-ip-address="$head_ip" --port="${address##*:}" --include-dashboard=false "${options[@]}" &
for _ in $(seq 60); do
    if ray health-check --address "$address"; then
        break
    fi
    sleep 2
done
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    others=$((SLURM_JOB_NUM_NODES - 1))
    srun --nodes="$others" --ntasks="$others" --exclude="$head_host" --overlap \
        ray start --address="$address" "${options[@]}" &
    sleep 20  # workers that join later are used too
fi

python -m bench run --address "$address" "$@" &
driver=$!
trap 'kill -TERM "$driver"' TERM
code=0
wait "$driver" || code=$?
if kill -0 "$driver" 2> /dev/null; then  # the signal ended the wait, not the run
    code=0
    wait "$driver" || code=$?
fi
[ "$code" != 143 ] || scontrol requeue "$SLURM_JOB_ID"
exit "$code"
