#!/bin/bash
# Builds hafstack and the stand-in for HAF against PostgreSQL 17, in the root that test/images/root17.sh makes: sources go to
# FOLDER/source, what `make install` writes to FOLDER/installed (to be laid over that root: ROOT17_OVER of in17.sh).
#
#   test/lib/build17.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p "$1"/{source,installed}
folder=$(cd "$1" && pwd -P)
tar --create --exclude='*.o' --exclude='*.bc' --exclude='*.so' --exclude=./test/unit/build \
    ./Makefile ./hafstack.control ./extension ./include ./test | tar --extract --directory="$folder/source"
for part in . test/haf; do
    test/lib/in17.sh "$folder" make --silent --directory="$folder/source/$part" all install with_llvm=no \
        PG_CONFIG=/usr/lib/postgresql/17/bin/pg_config DESTDIR="$folder/installed"
done
rm -rf "$folder/.root17"
