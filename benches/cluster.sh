#!/usr/bin/env bash
# Images a second with 1, 2 and 4 executors of one thread each, and what the cluster costs an image.
#
#     cargo build --release --features cluster
#     benches/cluster.sh [IMAGES] [MODEL]
#
# All processes share this machine: with fewer cores than executors, the rate shows what scheduling
# costs, and not how far the cluster scales. The first line is the program without a cluster.
set -euo pipefail
cd "$(dirname "$0")/.."
images=${1:-480} model=${2:-mobilenet_v2}
featurize=${FEATURIZE:-target/release/featurize}
folder=$(mktemp -d) processes=()
trap 'kill "${processes[@]}" 2>/dev/null || true; rm -rf "$folder"' EXIT

mkdir "$folder/images"
pictures=(examples/fruits/*/*.jpg)
for ((i = 0; i < images; i++)); do
  cp "${pictures[i % ${#pictures[@]}]}" "$folder/images/$i.jpg"
done

# start NAME ARGUMENTS…: waits for the line that says that the process listens.
start() {
  local name=$1
  shift
  "$featurize" "$@" >"$folder/$name.out" 2>"$folder/$name.err" &
  processes+=($!)
  until [ -s "$folder/$name.out" ]; do
    kill -0 $! || { cat "$folder/$name.err" >&2; exit 1; }
    sleep 0.1
  done
}

# seconds TASKS SQL ARGUMENTS…: of the second of two runs, whose networks are loaded.
seconds() {
  local tasks=$1 sql=$2 from
  shift 2
  local session="SET featurize.weights = 'seeded'; SET featurize.threads = 1;
    SET datafusion.execution.target_partitions = $tasks;
    CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '$folder/images/';"
  for _ in 1 2; do
    from=$(date +%s%N)
    "$featurize" "$@" -q -c "$session $sql" >/dev/null
  done
  echo $((($(date +%s%N) - from) / 1000))
}

report() { # EXECUTORS EXTRACTION SCAN, in microseconds
  printf '%-10s %10.1f %12.3f\n' "$1" "$(bc -l <<<"$images * 1000000 / $2")" \
    "$(bc -l <<<"($3) / $images / 1000")"
}

extract="SELECT count(f[1]) FROM (SELECT featurize(content, '$model') AS f FROM images);"
scan='SELECT count(content) FROM images;'
echo "$images images, $model, $(nproc) cores"
printf '%-10s %10s %12s\n' executors 'images/s' 'ms/image without inference'
report none "$(seconds 1 "$extract")" "$(seconds 1 "$scan")"
port=21050 # Below those that the system gives to clients.
for executors in 1 2 4; do
  port=$((port + 100))
  start "scheduler$executors" scheduler --bind-port $port
  for ((i = 1; i <= executors; i++)); do
    start "executor$executors.$i" executor --scheduler-port $port --concurrent-tasks 1 \
      --bind-port $((port + 2 * i)) --bind-grpc-port $((port + 2 * i + 1))
  done
  sleep 2 # Until they have registered.
  remote=(--remote "df://localhost:$port")
  report $executors "$(seconds $((executors * 3)) "$extract" "${remote[@]}")" \
    "$(seconds $((executors * 3)) "$scan" "${remote[@]}")"
  kill "${processes[@]}"
  wait "${processes[@]}" 2>/dev/null || true
  processes=()
done
