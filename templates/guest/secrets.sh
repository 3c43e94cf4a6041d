# shellcheck shell=sh
# Reads and erases the secrets that were injected at launch; for `sh` of dash and busybox, in an initrd. Sourced by unlock.
#
# They are looked for in the files of Linux's driver efi_secret, then in memory, at the place that the command line names. A
# secret goes only to standard output, through commands that are built into the shell: never into arguments of a process, a
# variable of the environment, or a file. What a function sets for its caller is named in its first line.
# shellcheck disable=SC2034 # such variables are used by the caller

HEADER_GUID=1e74f542-71dd-4d66-963e-ef4287ff173b
NULL_DIGITS=00000000000000000000000000000000
# As many entries as Linux's driver looks at.
MAX_ENTRIES=64
# More than any firmware sets aside. The least is a header, as for Linux's driver; the driver takes any size between.
MAX_AREA=16384
MIN_AREA=20

securityfs=/sys/kernel/security
driver=/sys/module/efi_secret
# Where the secrets are: the folder of the driver's files, or `memory`.
source=
# What the command line says of their place, and whether all of them were seen to be erased.
area_word='' all_erased=''

# Finds where the secrets are; sets $source. On failure $problem says why there are none.
# $1: the value of bootseal.secret on the command line, or nothing
secrets_find() {
  [ -d "$securityfs/secrets" ] || mount -t securityfs securityfs "$securityfs" 2>/dev/null || :
  modprobe efi_secret 2>/dev/null || :
  # The first is that of Linux 5.19 and later, the others those of patches before it.
  for source in secrets/coco coco/efi_secret coco/sev_secret; do
    source=$securityfs/$source
    if [ -d "$source" ]; then return 0; fi
  done
  source=memory area_word=$1
  area_find "$1" && table_read
}

# Looks for one secret. On failure $problem says what is wrong.
# $1: its GUID in lower case
secret_find() {
  if [ "$source" != memory ]; then
    if [ -f "$source/$1" ]; then return 0; fi
    problem="there is no entry $1 in $source"
    return 1
  fi
  digits_of_guid "$1"
  for place in $table; do
    if [ "${place%%:*}" = "$digits" ]; then
      place=${place#*:}
      value_at=${place%:*} value_size=${place#*:}
      return 0
    fi
  done
  problem="the secret table has no entry $1"
  return 1
}

# Prints the secret that was found last, up to so many bytes.
# $1: the GUID that was found; $2: how many bytes
secret_print() {
  if [ "$source" != memory ]; then
    head -c "$2" "$source/$1"
    return
  fi
  area_read "$value_at" "$2" || return 1
  while [ -n "$hex" ]; do
    rest=${hex#??}
    byte=$((0x${hex%"$rest"}))
    hex=$rest
    # shellcheck disable=SC2059 # the format is three octal digits, made here
    printf "\\$((byte / 64))$((byte / 8 % 8))$((byte % 8))"
  done
}

# Sets $size to the bytes of the secret that was found last, and $ends_in_nul to yes or no.
# $1: the GUID that was found
secret_measure() {
  if [ "$source" != memory ]; then
    size=$(wc -c <"$source/$1") || return 1
    size=$((size))
    ends_in_nul=no
    # A NUL alone becomes nothing.
    if [ "$size" -gt 0 ] && [ "$(tail -c 1 "$source/$1" | tr -d '\000' | wc -c)" -eq 0 ]; then ends_in_nul=yes; fi
    return 0
  fi
  size=$value_size
  ends_in_nul=no
  if [ "$size" -eq 0 ]; then return 0; fi
  area_read $((value_at + size - 1)) 1 || return 1
  if [ "$hex" = 00 ]; then ends_in_nul=yes; fi
  hex=
}

# Erases the secret that was found last, as Linux's driver does: zeros, and the NULL GUID before them. The length stays, so that
# what follows in the table can still be read. The value goes before its name: what is interrupted can be found and erased again.
# $1: the GUID that was found
secret_erase() {
  if [ "$source" != memory ]; then
    rm -f "$source/$1" && [ ! -e "$source/$1" ]
    return
  fi
  area_zero "$value_at" "$value_size" && area_is_zero "$value_at" "$value_size" || return 1
  area_zero $((value_at - 20)) 16 && area_is_zero $((value_at - 20)) 16
}

# Erases everything there is: all entries, or in memory all of the area, whatever is in it. Status 0 means that nothing was seen to be left;
# otherwise $not_erased says why, and the status is 2 where nothing tells that secrets are there: no driver, and no word for their place.
secrets_erase_all() {
  not_erased='the secrets could not be erased'
  case $source in
    '') [ -n "$all_erased" ] ;;
    memory)
      if [ -z "${area_size:-}" ]; then
        not_erased="no secret was erased, since nobody could look for them"
        [ -n "$area_word" ] || [ -d "$driver" ] || return 2
        return 1
      fi
      area_zero 0 "$area_size" && area_is_zero 0 "$area_size" || return 1
      all_erased=yes
      ;;
    *) entries_erase_all && all_erased=yes ;;
  esac
}

# Linux's driver shows no more than so many entries. It looks at what is left when it is loaded again.
entries_erase_all() {
  rounds=0
  while :; do
    set +f
    set -- "$source"/*
    rm -f "$source"/*
    shown=$#
    # Where nothing is left, the pattern stays as it is.
    set -- "$source"/*
    set -f
    [ ! -e "$1" ] || return 1
    [ "$shown" -ge $MAX_ENTRIES ] || return 0
    not_erased='more secrets may be left than the driver shows'
    rounds=$((rounds + 1))
    [ $rounds -le $MAX_ENTRIES ] && driver_reload && [ -d "$source" ] || return 1
  done
}

driver_reload() {
  modprobe -r efi_secret 2>/dev/null || rmmod efi_secret 2>/dev/null || return 1
  modprobe efi_secret 2>/dev/null && return 0
  # One that `bootseal initrd add` brought along.
  set +f
  set -- "${BOOTSEAL_LIB:-/usr/lib/bootseal}"/modules/*efi_secret.ko
  set -f
  insmod "$1" 2>/dev/null
}

# --- the table in memory

# Sets $area_base, $area_size and $devmem for the area that the command line names, when nothing else can be in it.
area_find() {
  if [ -z "$1" ]; then
    problem="no secrets in $securityfs (no driver efi_secret), and no bootseal.secret=ADDRESS,SIZE on the command line"
    if [ -d "$driver" ]; then
      problem='the driver efi_secret shows no secrets: none were injected, or it refused their table; bootseal.secret=ADDRESS,SIZE would say why'
    fi
    return 1
  fi
  problem="bootseal.secret=$1 is not of the form 0x810000,0xc00"
  case $1 in *,*,* | *[!0-9a-fA-Fx,]*) return 1 ;; *,*) ;; *) return 1 ;; esac
  area_number "${1%,*}" || return 1
  base=$number
  area_number "${1#*,}" || return 1
  problem="bootseal.secret=$1 is no secret area"
  if [ "$base" -le 0 ] || [ $((base % 16)) -ne 0 ] || [ "$base" -ge $((0x10000000000000 - MAX_AREA)) ]; then return 1; fi
  if [ "$number" -lt $MIN_AREA ] || [ "$number" -gt $MAX_AREA ]; then return 1; fi
  case $(cat "$securityfs/lockdown" 2>/dev/null) in
    *'[integrity]'* | *'[confidentiality]'*)
      problem='the kernel is locked down, which closes /dev/mem: a kernel with efi_secret is needed'
      return 1
      ;;
  esac
  area_is_reserved "$base" $((base + number - 1)) || return 1
  devmem_find || return 1
  area_base=$base area_size=$number
}

# Sets $number to a number of the command line: hexadecimal with 0x, or decimal; at most 52 bits.
area_number() {
  case $1 in
    0x??????????????* | 0x*x* | x* | '' | 0x) return 1 ;;
    0x*) number=$(($1)) ;;
    *[!0-9]* | ????????????????* | 0?*) return 1 ;;
    *) number=$1 ;;
  esac
}

# Looks into Linux's list of memory: the area must be Reserved, and nothing else may be in it.
# $1 and $2: first and last byte
area_is_reserved() {
  kept=no
  while read -r range _ kind; do
    first=$((0x${range%-*})) last=$((0x${range#*-}))
    if [ "$last" -lt "$1" ] || [ "$first" -gt "$2" ]; then continue; fi
    kept=no
    # A line that stands further in says more, and comes later.
    if [ "$first" -le "$1" ] && [ "$last" -ge "$2" ]; then
      case $kind in [Rr]eserved) kept=yes ;; esac
    fi
  done </proc/iomem
  problem='the memory that bootseal.secret names is not Reserved in /proc/iomem: is this the firmware it was made for?'
  [ $kept = yes ]
}

# Sets $devmem to a command that maps /dev/mem. read(2) would not do: where memory is encrypted, only a mapping decrypts.
devmem_find() {
  problem='there is no devmem here: neither that of busybox nor bootseal-devmem'
  for devmem in bootseal-devmem devmem 'busybox devmem'; do
    # Without an argument each of them says how it is used; what is missing has status 127, what busybox has not 127 too.
    $devmem >/dev/null 2>&1
    if [ $? -ne 127 ]; then return 0; fi
  done
  return 1
}

# Sets $hex to the digits of bytes of the area, two for each.
# $1: where they begin; $2: how many
area_read() {
  hex=
  word_at=$(($1 / 8 * 8))
  while [ $word_at -lt $(($1 + $2)) ]; do
    # What lies behind the area is no secret, and may be no memory.
    step=8
    if [ $((word_at + 8)) -gt "$area_size" ]; then step=1; fi
    if ! word=$($devmem $((area_base + word_at)) $((8 * step)) 2>/dev/null); then
      problem='/dev/mem cannot be mapped at the place that bootseal.secret names'
      hex=
      return 1
    fi
    reverse "${word#0x}"
    hex=$hex$reversed
    word_at=$((word_at + step))
  done
  word='' reversed=''
  drop=$(($1 % 8))
  while [ $drop -gt 0 ]; do hex=${hex#??} drop=$((drop - 1)); done
  drop=$((word_at - $1 - $2))
  while [ $drop -gt 0 ]; do hex=${hex%??} drop=$((drop - 1)); done
}

# Writes zeros into the area.
# $1: where; $2: how many
area_zero() {
  at=$1
  while [ "$at" -lt $(($1 + $2)) ]; do
    step=1
    if [ $((at % 8)) -eq 0 ] && [ $((at + 8)) -le $(($1 + $2)) ]; then step=8; fi
    $devmem $((area_base + at)) $((8 * step)) 0 >/dev/null 2>&1 || return 1
    at=$((at + step))
  done
}

area_is_zero() {
  area_read "$1" "$2" || return 1
  case $hex in
    *[!0]*) hex='' && return 1 ;;
  esac
}

# Sets $table to a word DIGITS:PLACE:SIZE for each entry, or refuses the table as Linux's driver would: all of it or nothing.
table_read() {
  table=
  area_read 0 20 || return 1
  digits_of_guid $HEADER_GUID
  case $hex in
    "$digits"*) ;;
    *[!0]*) problem='malformed secret table: it does not begin with the GUID of a secret table' && return 1 ;;
    *) problem='the secret area is empty: nothing was injected, or all of it was erased' && return 1 ;;
  esac
  length_of_head
  problem="malformed secret table: its length $number is impossible in an area of $area_size bytes"
  if [ "$number" -lt 20 ] || [ "$number" -gt "$area_size" ]; then return 1; fi
  end=$number entry_at=20 count=0
  while [ $((end - entry_at)) -ge 20 ] && [ $count -lt $MAX_ENTRIES ]; do
    area_read $entry_at 20 || return 1
    length_of_head
    problem="malformed secret table: the length $number of the entry at byte $entry_at is impossible"
    if [ "$number" -lt 20 ] || [ "$number" -gt $((end - entry_at)) ]; then return 1; fi
    digits=${hex%????????}
    if [ "$digits" != $NULL_DIGITS ]; then
      problem="malformed secret table: two entries have the same GUID, the second at byte $entry_at"
      case " $table" in *" $digits:"*) return 1 ;; esac
      table="$table$digits:$((entry_at + 20)):$((number - 20)) "
      count=$((count + 1))
    fi
    entry_at=$((entry_at + number))
  done
  hex=
}

# Sets $number to the length in a head of 20 bytes, whose digits are $hex.
length_of_head() {
  reverse "${hex#"${hex%????????}"}"
  number=$((0x$reversed))
}

# Sets $digits to the 16 bytes of a GUID as they stand in memory (UEFI specification, appendix A).
digits_of_guid() {
  rest=$1
  digits=
  for _ in 1 2 3; do
    reverse "${rest%%-*}"
    digits=$digits$reversed rest=${rest#*-}
  done
  digits=$digits${rest%-*}${rest#*-}
}

# Sets $reversed to digits with their bytes in the other order and in lower case.
reverse() {
  reversed='' left=$1
  while [ -n "$left" ]; do
    rest_of=${left#??}
    reversed=${left%"$rest_of"}$reversed left=$rest_of
  done
  case $reversed in
    *[A-F]*) lower_case ;;
  esac
}

# tr would be another process, with key bytes on its way; these are few.
lower_case() {
  left=$reversed reversed=''
  while [ -n "$left" ]; do
    rest_of=${left#?}
    case ${left%"$rest_of"} in
      A) reversed=${reversed}a ;;
      B) reversed=${reversed}b ;;
      C) reversed=${reversed}c ;;
      D) reversed=${reversed}d ;;
      E) reversed=${reversed}e ;;
      F) reversed=${reversed}f ;;
      *) reversed=$reversed${left%"$rest_of"} ;;
    esac
    left=$rest_of
  done
}
