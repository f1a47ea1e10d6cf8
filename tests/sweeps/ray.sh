#!/bin/sh
# Starts a Ray cluster of one node on the loopback address. Usage: ray.sh RAY, the path of the
# command `ray` of the environment to be tested; to end it: ray.sh RAY stop
set -eu
if [ "${2:-}" = stop ]; then
  exec "$1" stop --force
fi
exec "$1" start --head --node-ip-address=127.0.0.1 --port=6399 --num-cpus="$(nproc)" \
  --include-dashboard=false --disable-usage-stats
