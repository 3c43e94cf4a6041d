# shellcheck shell=sh
# What comes before any shell of an initrd: no program runs that could open a disk, none is open, no secret and no credential is left for the
# shell; or there is none. Also what keeps a second unlock from the first one's work. Sourced by unlock.
# shellcheck disable=SC2034,SC2154 # variables are set here for unlock, and there for this

# There is one unlock at a time. What it starts has the file $running open as descriptor 9, what `end` starts has $ended: a process is told by that,
# since a number that was written down can be another process's by now.
turn=/run/bootseal.turn running=/run/bootseal.running ended=/run/bootseal.ended
# Seconds that `end` has for all it does, erasing memory under emulation included.
MAX_END=300
# Seconds in which a process that was killed is gone, unless a disk holds it.
MAX_KILL=30

# The console is the host's, and so is SysRq on it: i kills whatever stands between a failure and a shell. /proc/sysrq-trigger works all the same.
refuse_sysrq() {
  [ ! -e /proc/sys/kernel/sysrq ] || echo 0 2>/dev/null >/proc/sys/kernel/sysrq || :
}

# Waits for an unlock that was started before, and has what is started from here on be told.
take_turn() {
  touch_file "$running"
  until mkdir "$turn" 2>/dev/null; do
    sleep 1
    # One that was killed has left it behind.
    is_held "$running" || rmdir "$turn" 2>/dev/null || [ ! -e "$turn" ] || fail "$turn is there, and no unlock has made it"
  done
  trap 'rmdir "$turn" 2>/dev/null' EXIT
  exec 9>>"$running"
}

# Makes a file, for a redirection that would end the shell if it could not.
touch_file() {
  mkdir -p "${1%/*}" 2>/dev/null
  true 2>/dev/null >>"$1" || fail "$1 cannot be made"
}

# Says whether a process has the file open as descriptor 9.
is_held() {
  set +f
  set -- "$1" /proc/[0-9]*/fd/9
  set -f
  held=$1
  shift
  for descriptor; do
    # shellcheck disable=SC3013 # dash, busybox and bash have it
    if [ "$descriptor" -ef "$held" ]; then return 0; fi
  done
  return 1
}

# Before a shell of the initrd.
end_initrd() {
  # The console is the host's, and so are the keys that end a program.
  trap '' INT TERM HUP QUIT TSTP
  outcome='no shell is opened'
  read_command_line
  chosen=$on_failure
  # Whatever goes wrong from here on gives nobody a shell.
  [ "$on_failure" = reboot ] || on_failure=poweroff
  watch_end </dev/null >/dev/null 2>&1 &
  watch=$!
  secrets_find "$secret" || :
  # From here on no unlock begins that would not see it.
  touch_file "$ended"
  exec 9>>"$ended"
  end_openers || fail 'a program that opens disks does not end'
  remove "$store"
  [ ! -e "$store" ] || fail 'the credentials could not be removed'
  credential_copies_forget || fail 'the credentials of a service could not be removed'
  close_disks || fail 'the initrd cannot go on, and a disk is open'
  forget
  if [ "$chosen" != emergency ] || ! secrets_erase_all; then fail 'the initrd cannot go on'; fi
  kill -9 "$watch" 2>/dev/null || :
}

# Ends the machine when that takes too long, also when who was to do it is gone: the host can stall a disk, and whoever closes it does not come back.
watch_end() {
  watched=0
  while [ $watched -lt $MAX_END ]; do
    sleep 2
    watched=$((watched + 2))
  done
  say "the initrd could not be ended within $MAX_END seconds"
  leave
}

# Ends whatever could open a disk later, whoever started it.
end_openers() {
  killed=0
  while openers_kill; do
    [ $killed -lt $MAX_KILL ] || return 1
    killed=$((killed + 1))
    sleep 1
  done
}

# Kills what it finds of them; status 1 when there is none.
openers_kill() {
  found=1
  set +f
  set -- /proc/[0-9]*
  set -f
  for process; do
    if is_opener "$process"; then
      found=0
      kill -9 "${process##*/}" 2>/dev/null || :
    fi
  done
  return $found
}

# An unlock, what it has started, and the programs that open LUKS disks, under the names that Linux has for them (15 letters).
# $1: folder of a process
is_opener() {
  # shellcheck disable=SC3013 # dash, busybox and bash have it
  if [ "$1/fd/9" -ef "$ended" ]; then return 1; fi
  # shellcheck disable=SC3013
  if [ "$1/fd/9" -ef "$running" ]; then return 0; fi
  { read -r told <"$1/stat"; } 2>/dev/null || return 1
  case $told in
    # What is dead, and not yet asked for by its parent, opens nothing.
    *') Z '* | *') X '*) return 1 ;;
    *' (cryptsetup) '* | *' (systemd-cryptse) '*) return 0 ;;
  esac
  return 1
}

# Closes all that device-mapper has, whatever its name: with crypttab it is not ours to give. What lies on top is closed first, LVM for one, in as
# many rounds as that takes. A disk that is mounted stays open.
close_disks() {
  closing=yes
  while [ $closing = yes ]; do
    closing=no
    mapped_before=$(mapped_names)
    while read -r mapped; do
      [ -z "$mapped" ] || cryptsetup close "$mapped" 2>/dev/null || dmsetup remove "$mapped" 2>/dev/null || :
    done <<END
$mapped_before
END
    [ "$(mapped_names)" = "$mapped_before" ] || closing=yes
  done
  [ -z "$mapped_before" ]
}

# Prints the names of what device-mapper has. Those in /dev are udev's, which come and go later than the disks.
mapped_names() {
  set +f
  if [ -d /sys/block ]; then set -- /sys/block/dm-*; else set -- /dev/mapper/*; fi
  set -f
  for mapped; do
    case $mapped in */control) continue ;; esac
    [ ! -e "$mapped" ] || cat "$mapped/dm/name" 2>/dev/null || echo "${mapped##*/}"
  done
}

# Says whether device-mapper has something of this name.
is_mapped() {
  mapped_names | {
    while read -r mapped; do
      [ "$mapped" != "$1" ] || exit 0
    done
    exit 1
  }
}
