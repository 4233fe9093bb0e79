#!/bin/bash
# A command, as root, in the root with PostgreSQL 17 that test/images/root17.sh makes.
#
#   test/lib/in17.sh FOLDER COMMAND...
#
# Inside, FOLDER (an absolute path) is where it is outside, and so is the working directory when it is in FOLDER.  Processes
# and network are the host's.  Changes to the root itself go to FOLDER/.root17, so that the next command finds them; the
# cached root stays as it is.  All mounts are in a namespace of their own: they are gone when the command's processes are.
# Where ROOT17_OVER names a folder, what is in it (hafstack installed, say) lies over the root.
set -euo pipefail
folder=$1
shift
if [ -z "${IN17_INSIDE:-}" ]; then
    [ -n "${ROOT17:-}" ] || ROOT17=$("$(dirname "$0")/../images/root17.sh")
    export ROOT17
    # Slave: what the host unmounts meanwhile is not held here.
    IN17_INSIDE=yes exec unshare --mount --propagation slave "$0" "$folder" "$@"
fi
unset IN17_INSIDE

own=$folder/.root17
mkdir -p "$own"/{root,changes,work}
if ! mount -t overlay overlay "$own/root" 2>/dev/null \
    -o "lowerdir=${ROOT17_OVER:+$ROOT17_OVER:}$ROOT17,upperdir=$own/changes,workdir=$own/work"
then                                    # over an overlay there is no other
    if [ ! -d "$own/copy" ]; then
        cp -a "$ROOT17" "$own/copy"
        [ -z "${ROOT17_OVER:-}" ] || cp -a "$ROOT17_OVER/." "$own/copy/"
    fi
    mount --bind "$own/copy" "$own/root"
fi
mkdir -p "$own/root$folder"
mount --rbind /proc "$own/root/proc"
mount --rbind /dev "$own/root/dev"
mount --bind "$folder" "$own/root$folder"
case $PWD/ in "$folder"/*) there=$PWD ;; *) there=/ ;; esac
exec chroot "$own/root" env --chdir="$there" "$@"
