# Boots systemd over a copy of this machine's files that is thrown away: tests/booted.rs runs it as root in namespaces
# of its own. What it writes is in memory; /dev has only the devices that the units' sandboxes need.
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
cd /mnt/root
mkdir -p opt/settle srv/bot
cp -r "$SCRIPTS" "$SCRIPTS/../systemd" opt/settle
cp "$BINARY" opt/settle/settle
cp "$DB" srv/bot/performance.db
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs dev
mkdir dev/pts dev/shm dev/mqueue dev/hugepages
for device in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "dev/${device%:*}" c 1 "${device#*:}"; done
mknod -m 666 dev/tty c 5 0
mknod -m 666 dev/ptmx c 5 2
# a machine that was booted before: a first boot would enable units
rm -f etc/machine-id
echo 0123456789abcdef0123456789abcdef > etc/machine-id
echo 'bot:x:4242:4242::/srv/bot:/bin/sh' >> etc/passwd
echo 'bot:x:4242:' >> etc/group
chown -R 4242:4242 srv/bot
# nothing of this machine but the bus and the journal; above all nothing that configures the network
rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires
for unit in network-online.target systemd-networkd.service systemd-networkd.socket NetworkManager.service networking.service \
    systemd-resolved.service systemd-timesyncd.service systemd-udevd.service systemd-udev-trigger.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
    systemd-tmpfiles-setup-dev.service systemd-modules-load.service systemd-sysctl.service systemd-remount-fs.service \
    systemd-firstboot.service systemd-machine-id-commit.service systemd-logind.service systemd-hwdb-update.service \
    dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
    sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount; do
    ln -sf /dev/null "etc/systemd/system/$unit"
done
cat > etc/systemd/system/booted.target <<'UNIT'
[Unit]
Requires=basic.target dbus.service
After=basic.target dbus.service
UNIT
mkdir oldroot
pivot_root . oldroot
cd /
umount -l /oldroot
mount --make-rshared /
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=booted.target
