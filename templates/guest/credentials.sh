# shellcheck shell=sh
# Leaves secrets that were injected at launch for services: as credentials of systemd, in files of a ramfs at /run/credstore, which stays
# when the real root takes over. Sourced by unlock, whose names begin without `credential`.
#   bootseal.credentials=db.password:GUID,tls.key:GUID
# A service takes one by LoadCredential=db.password:/run/credstore/db.password in its unit.
#
# For a service that names no path systemd looks first among what the host has brought by SMBIOS or fw_cfg (systemd.exec(5)). So nothing is left
# unless the measured command line keeps all of that out.
# shellcheck disable=SC2154 # credentials, imports, disk, key and task are set by unlock

store=/run/credstore
# Whether $store is ours.
stored=''

# Sees to it that the command line names each credential and each secret once, and nothing but a file of the store.
credentials_check() {
  [ -n "$credentials" ] || [ "$task" != credentials ] || fail 'bootseal.credentials is not on the command line: which secrets are for services?'
  [ -n "$credentials" ] || return 0
  case $imports in
    no | 0 | off | false) ;;
    *) fail 'systemd.import_credentials=no is not on the command line: without it the host brings credentials of the same names' ;;
  esac
  credential_seen=,
  credential_each credential_check
}

# Calls a function for each pair of the word, with $credential and $guid set.
credential_each() {
  credentials_left=$credentials,
  while [ -n "$credentials_left" ]; do
    pair=${credentials_left%%,*}
    credentials_left=${credentials_left#*,}
    credential=${pair%%:*} guid=${pair#*:}
    "$1"
  done
}

credential_check() {
  # systemd takes more than these; none of them needs thought in a shell, a path or a unit.
  case $credential in
    '' | .* | *[!A-Za-z0-9_.-]*) fail "bootseal.credentials: '$credential' cannot be the name of a credential" ;;
  esac
  [ ${#credential} -le 255 ] || fail "bootseal.credentials: the name $credential is too long"
  case $guid in
    *[!0-9a-f-]* | *-*-*-*-*-*) fail "bootseal.credentials: $pair is not of the form NAME:GUID, in lower case" ;;
    ????????-????-????-????-????????????) ;;
    *) fail "bootseal.credentials: $pair is not of the form NAME:GUID, in lower case" ;;
  esac
  case $credential_seen in *",$credential,"* | *",$guid,"*) fail "bootseal.credentials: $pair stands there a second time" ;; esac
  credential_seen=$credential_seen$credential,$guid,
  [ -z "$disk" ] || [ "$guid" != "$key" ] || fail "bootseal.credentials: $guid is the key of the disk"
}

# Leaves all of them, and only then erases their secrets.
credentials_leave() {
  [ -n "$credentials" ] || return 0
  # What is there was not left by us, or leads elsewhere; an empty folder may be there.
  rmdir "$store" 2>/dev/null || :
  mkdir "$store" 2>/dev/null || fail "there is something at $store already"
  stored=yes
  # A ramfs is never written out.
  mount -t ramfs -o mode=0700 ramfs "$store" || fail 'there is no ramfs for the credentials'
  credential_each credential_leave
  credential_each credential_erase
}

credential_leave() {
  secret_find "$guid" || fail "there is no credential $credential: $problem"
  secret_measure "$guid" || fail "the secret $guid for the credential $credential cannot be read"
  [ "$size" -gt 0 ] || fail "the secret $guid for the credential $credential is empty"
  secret_print "$guid" "$size" >"$store/$credential" || fail "the credential $credential cannot be written"
}

credential_erase() {
  if secret_find "$guid" && secret_erase "$guid"; then return 0; fi
  fail "the secret $guid for the credential $credential could not be erased"
}

# Removes all of them, when they are ours.
credentials_forget() {
  [ -n "$stored" ] || return 0
  remove "$store"
  [ ! -e "$store" ]
}

# Removes what systemd has given to services of the initrd: copies, one folder in memory for each service. Services that run keep what they have read.
credential_copies_forget() {
  set +f
  set -- /run/credentials/*
  set -f
  for copies; do
    # They can be read only; and where a service still holds the folder it stays, and has nothing in it.
    [ ! -d "$copies" ] || mount -o remount,rw "$copies" 2>/dev/null || :
    remove "$copies"
    is_empty "$copies" || return 1
  done
}

# Says whether nothing is in a folder.
is_empty() {
  set +f
  set -- "$1"/* "$1"/.[!.]* "$1"/..?*
  set -f
  for entry; do
    if [ -e "$entry" ] || [ -L "$entry" ]; then return 1; fi
  done
}
