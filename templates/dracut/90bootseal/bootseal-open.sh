#!/bin/sh
# dracut's queue runs this whenever devices have settled; unlock waits for the disk itself, so once is enough.
# Where systemd is in the initrd, bootseal-unlock.service opens it.
if [ -z "${DRACUT_SYSTEMD:-}" ] && [ ! -e /run/bootseal.done ]; then
  : >/run/bootseal.done
  if ! /usr/lib/bootseal/unlock; then
    # With bootseal.on-failure=emergency. Before any shell, bootseal-end.sh sees to it that nothing is left.
    die 'bootseal: the disk was not opened'
  fi
fi
