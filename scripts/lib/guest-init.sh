#!/bin/sh
# The first process of the lab VM (busybox ash): mount what a system has, run the command, hand everything back, power off.
# Channels are virtio serial ports, opened in this order by scripts/vm: 1 output, 2 status, 3 and up one per --get.
# The kernel console carries nothing but kernel messages and complaints of this script.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LOGNAME=root SHELL=/bin/sh
umask 022

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /run
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/0 /dev/stdin
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr
read -r controllers </sys/fs/cgroup/cgroup.controllers
for controller in $controllers; do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
hostname edict-lab
ip link set lo up
# What the script beside the command sets: LAB_GETS, and environment for the command.
# shellcheck source=/dev/null
. /.lab/settings
cd "$LAB_DIRECTORY" || cd /

if [ -n "$LAB_INTERACTIVE" ]; then
    until [ -c /dev/hvc0 ]; do usleep 2000; done
    # shellcheck disable=SC2086 # the setting is a list of words
    [ -z "$LAB_STTY" ] || stty $LAB_STTY </dev/hvc0
    setsid -c sh /.lab/command </dev/hvc0 >/dev/hvc0 2>&1
    reboot -f
fi

output=/dev/vport0p1 status=/dev/vport0p2
until [ -c $output ] && [ -c $status ]; do usleep 2000; done
echo "start $(cut -d' ' -f1 /proc/uptime)" >$status

# A port can be open once only, so the command writes to a pipe: then /dev/stderr can be reopened like anywhere else.
mkfifo /run/.output
cat /run/.output >$output &
copier=$!
setsid sh /.lab/command </dev/null >/run/.output 2>&1 &
wait $! 2>/dev/null # the shell reports a death by signal there; the code says it too
code=$?
# What the command left running must not keep the pipe open for ever. Whoever was about to finish may do so.
(
    read -r self _ </proc/self/stat
    usleep 200000
    while :; do
        for process in /proc/[0-9]*; do
            pid=${process#/proc/}
            # Kernel threads have no exe.
            if [ "$pid" != 1 ] && [ "$pid" != "$self" ] && [ "$pid" != "$copier" ] && [ -e "$process/exe" ]; then
                kill -9 "$pid"
            fi
        done
        usleep 20000
    done
) 2>/dev/null &
reaper=$!
wait $copier
kill $reaper

port=3
for path in $LAB_GETS; do
    path=$(echo "$path" | sed 's/%20/ /g;s/%25/%/g')
    if [ -e "$path" ]; then
        tar -C "$(dirname "$path")" -cf "/dev/vport0p$port" "$(basename "$path")" && echo "got $port" >$status
    fi
    port=$((port + 1))
done
echo "exit $code" >$status
# qemu is told not to reboot: the shortest way to power off.
reboot -f
