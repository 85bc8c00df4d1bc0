#!/usr/bin/env bash
# A Ray cluster inside a Slurm allocation, and a run on it. Adapt the lines that begin with #SBATCH, then:
#
#   sbatch bench/runs/slurm.sh pocket-full --out /shared/out
#
# Every node of the allocation becomes a node of the cluster; the first also drives the run. `--out` must lie on a file system
# that all nodes share, or `--mirror URL` be given. Keys of providers are taken from the environment of the job.
#SBATCH --job-name=heist
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
set -euo pipefail
export RAY_USAGE_STATS_ENABLED=0

port=${HEIST_RAY_PORT:-6379}
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
address=$(srun --nodes=1 --ntasks=1 -w "$head" hostname --ip-address | awk '{print $1}')

srun --nodes=1 --ntasks=1 -w "$head" \
    ray start --head --node-ip-address="$address" --port="$port" --include-dashboard=false --block &
for _ in $(seq 60); do
    ray health-check --address "$address:$port" >/dev/null 2>&1 && break
    sleep 1
done
for node in "${nodes[@]:1}"; do
    srun --nodes=1 --ntasks=1 -w "$node" ray start --address="$address:$port" --block &
done
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

# Exit code 3 says that some cells failed; the same command tries them again.
heist run "$@" --executor ray --ray-address "$address:$port"
