#!/bin/bash
# dracut.modules(7): opens the disk of a confidential guest with the injected key.
# To be installed with its neighbours as /usr/lib/dracut/modules.d/90bootseal; `unlock` and the scripts beside it in /usr/lib/bootseal.

# shellcheck disable=SC2154 # moddir, hostonly, initdir and such are dracut's

# Only where it is asked for: add_dracutmodules+=" bootseal "
check() {
  require_binaries cryptsetup sha256sum || return 1
  return 255
}

depends() {
  echo 'dm rootfs-block'
}

installkernel() {
  hostonly='' instmods dm_crypt dm_integrity virtio_pci virtio_blk algif_skcipher
  hostonly='' instmods aesni_intel xts gcm ctr ecb authenc hmac sha256_generic sha256_ssse3 ghash_clmulni_intel
  hostonly='' instmods -s efi_secret
}

install() {
  inst_multiple cryptsetup dd head tail wc tr sha256sum sync sleep mount umount cat rm rmdir mkdir
  # Argon2 runs in threads, which ask for this library only when they end.
  inst_libdir_file 'libgcc_s.so.1*'
  inst_simple /usr/lib/bootseal/unlock
  inst_simple /usr/lib/bootseal/secrets.sh
  inst_simple /usr/lib/bootseal/credentials.sh
  inst_simple /usr/lib/bootseal/end.sh
  # dracut's own module crypt would open any disk with the UUID that it has noted, by the header that is on the disk, and ask for a passphrase.
  inst_simple "$moddir/cmdline.conf" /etc/cmdline.d/bootseal.conf
  # Memory is read by one of these: on kernels without efi_secret, one must be there.
  if [ -x /usr/lib/bootseal/bootseal-devmem ]; then
    inst_simple /usr/lib/bootseal/bootseal-devmem
  else
    inst_multiple -o busybox
  fi
  inst_hook emergency 00 "$moddir/bootseal-end.sh"
  if dracut_module_included systemd; then
    inst_simple "$moddir/bootseal-unlock.service" "$systemdsystemunitdir/bootseal-unlock.service"
    inst_simple "$moddir/bootseal-credentials.service" "$systemdsystemunitdir/bootseal-credentials.service"
    inst_simple "$moddir/cryptsetup.conf" "$systemdsystemunitdir/systemd-cryptsetup@.service.d/bootseal.conf"
    inst_simple "$moddir/root-device-unlock.conf" "$systemdsystemunitdir/initrd-root-device.target.d/bootseal.conf"
  else
    inst_hook initqueue/settled 10 "$moddir/bootseal-open.sh"
  fi
}
