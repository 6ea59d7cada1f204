#!/bin/sh
# A Slurm of one node on this machine, for tests: munged, slurmctld and slurmd on loopback. Run as root.
#
#     tests/slurm/start.sh FOLDER [stop]
#
# Debian's packages: slurm-wlm munge. Configuration, state and logs are in FOLDER; nothing in /etc is touched.
# Afterwards `export SLURM_CONF=FOLDER/slurm.conf` lets sbatch, squeue and scancel speak to it. Two partitions over the
# same node: `spot`, whose jobs are put back into the queue when one of `urgent` needs their place.
set -eu

folder=$(mkdir -p "$1" && cd "$1" && pwd)

if [ "${2:-}" = stop ]; then
    for daemon in slurmd slurmctld munged; do
        [ ! -f "$folder/$daemon.pid" ] || kill "$(cat "$folder/$daemon.pid")" 2>/dev/null || true
    done
    exit 0
fi

for program in munged slurmctld slurmd sbatch; do
    command -v "$program" >/dev/null || {
        echo "error: $program: not installed; apt-get install slurm-wlm munge" >&2
        exit 2
    }
done

mkdir -p "$folder/state" "$folder/spool"
chmod 0755 "$folder"
[ -f "$folder/munge.key" ] || dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 2>/dev/null
chmod 0600 "$folder/munge.key"

host=$(hostname -s)
base=$((20000 + $$ % 20000)) # ports of its own, so that several may run
cat >"$folder/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$base
SlurmdPort=$((base + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5 # a requeued job waits as long as credentials live
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
ReturnToService=2
KillWait=20
MinJobAge=300
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=spot Nodes=$host Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=urgent Nodes=$host MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
END

export SLURM_CONF="$folder/slurm.conf"
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munged.seed"
slurmctld -c
slurmd -c

seconds=0
until sinfo --noheader --states=idle --partition=spot 2>/dev/null | grep -q .; do
    seconds=$((seconds + 1))
    [ "$seconds" -lt 60 ] || {
        echo "error: no node came up within a minute; see $folder/slurmctld.log and $folder/slurmd.log" >&2
        exit 1
    }
    sleep 1
done
echo "export SLURM_CONF=$folder/slurm.conf"
