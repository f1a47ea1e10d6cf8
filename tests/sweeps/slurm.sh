#!/bin/sh
# Starts a Slurm cluster of one node on the loopback address, from Debian's slurm-wlm and munge;
# run as root. Usage: slurm.sh FOLDER, then export SLURM_CONF=FOLDER/slurm.conf. To end it:
# slurm.sh FOLDER stop
set -eu
here=$(mkdir -p "$1" && cd "$1" && pwd)
conf=$here/slurm.conf

if [ "${2:-}" = stop ]; then
  for daemon in slurmd slurmctld munged; do
    [ ! -f "$here/$daemon.pid" ] || kill "$(cat "$here/$daemon.pid")" 2>/dev/null || true
  done
  exit
fi

node=$(hostname -s)
mkdir -p "$here/state" "$here/spool" "$here/munge"
chmod 755 "$here" "$here/munge"
dd if=/dev/urandom of="$here/munge.key" bs=1024 count=1 2>/dev/null
chmod 400 "$here/munge.key"
cat > "$conf" <<CONF
ClusterName=loopback
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$here/munge/socket,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0
ReturnToService=2
KillWait=5
MinJobAge=300
JobRequeue=1
StateSaveLocation=$here/state
SlurmdSpoolDir=$here/spool
SlurmctldPidFile=$here/slurmctld.pid
SlurmdPidFile=$here/slurmd.pid
SlurmctldLogFile=$here/slurmctld.log
SlurmdLogFile=$here/slurmd.log
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
munged --force --key-file="$here/munge.key" --socket="$here/munge/socket" \
  --pid-file="$here/munged.pid" --log-file="$here/munged.log" --seed-file="$here/munge.seed"
export SLURM_CONF="$conf"
slurmctld -f "$conf"
slurmd -f "$conf"
for _ in $(seq 60); do
  if sinfo --noheader --format=%T 2>/dev/null | grep -q idle; then exit; fi
  sleep 0.5
done
echo "Slurm did not start; see the logs in $here" >&2
exit 1
