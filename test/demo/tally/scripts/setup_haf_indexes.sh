#!/bin/bash
# Index builder of the demo's first app: makes the index it wants on HAF's own table while that is still empty.  hived finds
# it before the massive sync, and builds it again when it goes live.  In HAF's own container there is no --postgres-url.
set -eu
url=postgres://haf_admin@/haf_block_log
for argument; do
    case $argument in --postgres-url=*) url=${argument#*=} ;; esac
done
psql --set=ON_ERROR_STOP=1 "$url" --command="
    CREATE INDEX IF NOT EXISTS tally_blocks_minute_idx ON hafd.blocks (date_trunc('minute', created_at))"
