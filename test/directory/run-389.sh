#!/bin/bash
# Throw-away 389 Directory Server (the LDAP server inside FreeIPA) on 127.0.0.1, without systemd. Needs root: the server runs
# as user dirsrv and lives in /etc/dirsrv/slapd-NAME, /var/lib/dirsrv/slapd-NAME, ... with NAME = rookery<PORT>.
#
#   run-389.sh start [DIR] [PORT]     new instance with 389-sample.ldif in it     (./data/389 3891)
#   run-389.sh stop  [DIR]            stop by PID and remove the instance
#
# Plain LDAP only (no certificate is made). Suffix dc=ipa,dc=test. Log: /var/log/dirsrv/slapd-NAME/. DIR keeps set-up files.
#   cn=Directory Manager                     dm-secret1   everything
#   uid=alice,ou=people,dc=ipa,dc=test       secret12     alias a.smith@example.test; in eng, and through it in staff
#   uid=bob,ou=people,dc=ipa,dc=test         secret12     nsAccountLock: binds answer 53, not 49
# On, as FreeIPA has them: memberOf (nested), retro changelog (cn=changelog), content sync (RFC 4533), referential integrity.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
HERE=$(cd "$(dirname "$0")" && pwd); UNITS="dirsrv.target"
die() { echo "$(basename "$0"): $*" >&2; exit 1; }
usage() { sed -n '2,/^set /p' "$HERE/run-389.sh" | grep '^#' | cut -c3-; exit 2; }

# Install the missing Debian packages, without apt starting a system-wide server on a public port.
need() {
  local p miss=() made= rc=0
  for p; do dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || miss+=("$p"); done
  [ ${#miss[@]} -gt 0 ] || return 0
  if [ ! -e /usr/sbin/policy-rc.d ]; then printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; made=1; fi
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${miss[@]}"; } >&2 || rc=$?
  [ -z "$made" ] || rm -f /usr/sbin/policy-rc.d
  [ $rc = 0 ] || die "apt-get failed"
  if [ -d /run/systemd/system ]; then systemctl disable -q --now $UNITS 2>/dev/null || true; fi
}
alive() { [ -n "${1:-}" ] && grep -qs '^State:.[^Z]' "/proc/$1/status"; }      # a zombie is not alive
pid() { cat "/run/dirsrv/slapd-$NAME.pid" 2>/dev/null || true; }
ours() { alive "$(pid)" && [ "$(cat "/proc/$(pid)/comm")" = ns-slapd ]; }
end() {
  ours || return 0
  local p i; p=$(pid)
  kill "$p"; kill -CONT "$p"
  for i in $(seq 200); do alive "$p" || return 0; sleep 0.1; done
  kill -9 "$p"
}
remove() {       # only an instance that DIR/instance names, so one that start made
  rm -rf "/etc/dirsrv/slapd-$NAME" "/var/lib/dirsrv/slapd-$NAME" "/var/log/dirsrv/slapd-$NAME" "/run/lock/dirsrv/slapd-$NAME" "/dev/shm/slapd-$NAME" \
    "/run/dirsrv/slapd-$NAME.pid" "/run/slapd-$NAME.socket" "/etc/default/dirsrv-$NAME"
  rm -rf /usr/lib/*/dirsrv/"slapd-$NAME"
}

start() {
  local PORT=${1:-3891} i t0=$SECONDS
  [ "$(id -u)" = 0 ] || die "needs root"
  need 389-ds-base python3-lib389 ldap-utils
  if [ -e "$D" ] && [ ! -e "$D/.throwaway" ] && [ -n "$(ls -A "$D")" ]; then die "$D holds other files"; fi
  if [ -e "$D/instance" ]; then NAME=$(cat "$D/instance"); ours && die "already running as $(pid); stop it first"; remove; fi
  NAME=rookery$PORT
  [ ! -e "/etc/dirsrv/slapd-$NAME" ] || die "/etc/dirsrv/slapd-$NAME exists and is not from $D"
  rm -rf "$D"; mkdir -p "$D/share/dirsrv"; D=$(cd "$D" && pwd -P); touch "$D/.throwaway"; echo "$NAME" > "$D/instance"

  # lib389 would call systemctl (with_systemd = 1): give it a private list of defaults
  sed 's/^with_systemd = 1/with_systemd = 0/' /usr/share/dirsrv/inf/defaults.inf > "$D/defaults.inf"
  # and a private template, so that the very first start listens on loopback only
  cp -r /usr/share/dirsrv/data "$D/share/dirsrv/"
  sed -i '0,/^cn: config$/s//cn: config\nnsslapd-listenhost: 127.0.0.1\nnsslapd-securelistenhost: 127.0.0.1/' "$D/share/dirsrv/data/template-dse.ldif"
  cat > "$D/inst.inf" <<INF
[general]
config_version = 2
full_machine_name = localhost
start = True
selinux = False
systemd = False
strict_host_checking = False
[slapd]
instance_name = $NAME
port = $PORT
secure_port = 0
root_password = dm-secret1
self_sign_cert = False
data_dir = $D/share
[backend-userroot]
suffix = dc=ipa,dc=test
sample_entries = no
create_suffix_entry = True
INF
  cat > "$D/create.py" <<'PY'
import logging, sys
import lib389.paths
lib389.paths.DEFAULTS_PATH.insert(0, sys.argv[1] + "/defaults.inf")
from lib389.instance.setup import SetupDs
logging.basicConfig(level=logging.INFO)
sys.exit(0 if SetupDs(False, False, logging.getLogger("setup")).create_from_inf(sys.argv[1] + "/inst.inf") else 1)
PY
  /usr/bin/python3 "$D/create.py" "$D" > "$D/create.log" 2>&1 || { tail -5 "$D/create.log" >&2; die "set-up failed; log: $D/create.log"; }
  grep -q '^nsslapd-listenhost: 127.0.0.1' "/etc/dirsrv/slapd-$NAME/dse.ldif" || { end; die "not pinned to loopback"; }

  # turn on the plugins while it is down
  end
  /usr/bin/python3 - "/etc/dirsrv/slapd-$NAME/dse.ldif" <<'PY'
import re, sys
p = sys.argv[1]; s = open(p).read()
for n in ("MemberOf Plugin", "Retro Changelog Plugin", "Content Synchronization", "referential integrity postoperation"):
    s, k = re.subn(r"(dn: cn=%s,cn=plugins,cn=config\n(?:(?!\ndn: ).)*?nsslapd-pluginEnabled: )o(?:ff|n)" % n, r"\1on", s, flags=re.S | re.I)
    if k != 1: print("plugin not found:", n, file=sys.stderr)
open(p, "w").write(s)
PY
  ns-slapd -D "/etc/dirsrv/slapd-$NAME" -i "/run/dirsrv/slapd-$NAME.pid"
  for i in $(seq 240); do ldapwhoami -x -H "ldap://127.0.0.1:$PORT" >/dev/null 2>&1 && break; sleep 0.25; done
  ours || die "it does not run; log: /var/log/dirsrv/slapd-$NAME/errors"
  ldapadd -x -H "ldap://127.0.0.1:$PORT" -D "cn=Directory Manager" -w dm-secret1 -f "$HERE/389-sample.ldif" >/dev/null
  echo "389 $(pid): ldap://127.0.0.1:$PORT; cn=Directory Manager / dm-secret1; $((SECONDS - t0)) s"
}

CMD=${1:-}; D=${2:-./data/389}; NAME=
case "$CMD" in
  start) start "${@:3}" ;;
  stop) [ -e "$D/instance" ] || { echo "not running"; exit 0; }
    NAME=$(cat "$D/instance"); P=$(pid); end; remove; rm -f "$D/instance"; echo "stopped $P" ;;
  *) usage ;;
esac
