#!/bin/bash
# Throw-away OpenLDAP server (slapd) on 127.0.0.1. Any user can run it; no system configuration is read or changed.
#
#   run-slapd.sh start  [DIR] [PORT] [TLSPORT] [NUSERS]   new, filled directory    (./data/slapd 3890 6360 1200)
#   run-slapd.sh stop   [DIR]                             stop by PID; data and log stay in DIR
#   run-slapd.sh resume [DIR]                             start again on the data that stop, or a kill, left
#
# LDAP + StartTLS on PORT, LDAPS on TLSPORT, both 127.0.0.1 only. CA: DIR/tls/ca.pem; certificate names: localhost,
# ldap.example.test, 127.0.0.1. Log: DIR/slapd.log. Process id: DIR/slapd.pid. Suffix dc=example,dc=test.
#
#   who                                      password   may
#   cn=admin,dc=example,dc=test              adminpw    everything (rootdn)
#   cn=mail,ou=services,dc=example,dc=test   svc        read all but userPassword, no size limit: the mail server's account
#   cn=replica,dc=example,dc=test            repl       the same, and cn=accesslog: for syncrepl
#   cn=config                                secret     the running configuration
#   uid=alice,ou=people,...                  secret     aliases a.smith@ and postmaster@, quota 1 GiB, mailHost
#   uid=bob                                  secret     accountStatus: disabled (slapd itself still lets him bind)
#   uid=carol                                secret     must change the password (pwdReset)
#   uid=dave                                 secret     locked (pwdAccountLockedTime)
#   uid=erin                                 secret     forwards to erin@elsewhere.test
#   uid=frank, uid=u0000 ...                 secret     plain; uNNNN has the alias aliasN@example.test
# Groups (ou=groups): backend = alice, bob; eng = carol + backend; staff = dave + eng; bigall = all uNNNN;
# dyn = memberURL "everybody with mailQuotaSize". Password policy: 5 wrong passwords lock for 300 s, at least 6 characters.
# NESTED=1 (or run-slapd-nested.sh): dynlist computes memberOf, nested groups included, instead of the memberof overlay.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
HERE=$(cd "$(dirname "$0")" && pwd); UNITS="slapd"
die() { echo "$(basename "$0"): $*" >&2; exit 1; }
usage() { sed -n '2,/^set /p' "$HERE/run-slapd.sh" | grep '^#' | cut -c3-; exit 2; }

# Install the missing Debian packages, without apt starting a system-wide server on a public port.
need() {
  local p miss=() made= rc=0
  for p; do dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || miss+=("$p"); done
  [ ${#miss[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "as root, once: apt-get install -y --no-install-recommends ${miss[*]}"
  if [ ! -e /usr/sbin/policy-rc.d ]; then printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; made=1; fi
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${miss[@]}"; } >&2 || rc=$?
  [ -z "$made" ] || rm -f /usr/sbin/policy-rc.d
  [ $rc = 0 ] || die "apt-get failed"
  if [ -d /run/systemd/system ]; then systemctl disable -q --now $UNITS 2>/dev/null || true; fi
}
alive() { [ -n "${1:-}" ] && grep -qs '^State:.[^Z]' "/proc/$1/status"; }      # a zombie is not alive
pid() { cat "$D/slapd.pid" 2>/dev/null || true; }
ours() { alive "$(pid)" && [ "$(cat "/proc/$(pid)/comm")" = slapd ]; }

launch() {       # start slapd on what is in $D and wait until it answers
  # shellcheck disable=SC1091
  . "$D/ports"
  nohup slapd -f "$D/slapd.conf" -h "ldap://127.0.0.1:$PORT ldaps://127.0.0.1:$TLSPORT" -d 0 </dev/null >>"$D/slapd.log" 2>&1 &
  local p=$! i
  echo $p > "$D/slapd.pid"
  for i in $(seq 600); do
    alive $p || { tail -5 "$D/slapd.log" >&2; die "slapd ended at once: is port $PORT or $TLSPORT taken? log: $D/slapd.log"; }
    ldapwhoami -x -H "ldap://127.0.0.1:$PORT" >/dev/null 2>&1 && return 0
    sleep 0.05
  done
  die "slapd does not answer; log: $D/slapd.log"
}

start() {
  local PORT=${1:-3890} TLSPORT=${2:-6360} N=${3:-1200}
  need slapd ldap-utils openssl python3
  ours && die "already running as $(pid); stop it first"
  # only a directory that this script made is ever emptied
  if [ -e "$D" ] && [ ! -e "$D/.throwaway" ] && [ -n "$(ls -A "$D")" ]; then die "$D holds other files"; fi
  rm -rf "$D"; mkdir -p "$D/db" "$D/accesslog" "$D/tls"; D=$(cd "$D" && pwd -P); touch "$D/.throwaway"
  case "$D$HERE" in *[[:space:]]*) die "no spaces in the path, please";; esac
  printf 'PORT=%s\nTLSPORT=%s\n' "$PORT" "$TLSPORT" > "$D/ports"

  local T=$D/tls EC="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
  openssl req -x509 $EC -days 3650 -subj "/CN=Test CA" -keyout "$T/ca.key" -out "$T/ca.pem" 2>/dev/null
  openssl req $EC -subj "/CN=localhost" -keyout "$T/srv.key" -out "$T/srv.csr" 2>/dev/null
  printf 'subjectAltName=DNS:localhost,DNS:ldap.example.test,IP:127.0.0.1\n' > "$T/ext"
  openssl x509 -req -in "$T/srv.csr" -CA "$T/ca.pem" -CAkey "$T/ca.key" -CAcreateserial -days 3650 -extfile "$T/ext" -out "$T/srv.pem" 2>/dev/null

  local MODULES="back_mdb refint ppolicy syncprov accesslog dynlist argon2 pw-sha2 sssvlv unique" MEMBEROF REFINT="member owner" MEMBERIDX=
  if [ "${NESTED:-0}" = 1 ]; then
    MEMBEROF="overlay dynlist
dynlist-attrset groupOfURLs memberURL member+memberOf@groupOfNames*"
  else
    MODULES="$MODULES memberof"; REFINT="member memberOf owner" MEMBERIDX=,memberOf
    MEMBEROF="overlay memberof
memberof-group-oc groupOfNames
memberof-member-ad member
memberof-memberof-ad memberOf
memberof-refint TRUE
overlay dynlist
dynlist-attrset groupOfURLs memberURL member"
  fi
  { local s
    for s in core cosine nis inetorgperson dyngroup misc; do echo "include /etc/ldap/schema/$s.schema"; done
    echo "include $HERE/mailqmail.schema"
    echo "modulepath /usr/lib/ldap"
    for s in $MODULES; do echo "moduleload $s"; done
    cat <<CONF
TLSCACertificateFile $T/ca.pem
TLSCertificateFile $T/srv.pem
TLSCertificateKeyFile $T/srv.key
sizelimit size.soft=500 size.hard=unlimited size.pr=1000
threads 8
sasl-secprops none

database config
rootdn cn=config
rootpw secret

database monitor
access to * by dn.exact="cn=admin,dc=example,dc=test" read by * none

# the write log behind syncrepl's delta form
database mdb
suffix cn=accesslog
directory $D/accesslog
rootdn cn=accesslog
maxsize 268435456
index default eq
index entryCSN,objectClass,reqEnd,reqResult,reqStart
limits dn.exact="cn=replica,dc=example,dc=test" size=unlimited time=unlimited
access to * by dn.exact="cn=replica,dc=example,dc=test" read
overlay syncprov
syncprov-nopresent TRUE
syncprov-reloadhint TRUE

database mdb
suffix dc=example,dc=test
directory $D/db
rootdn cn=admin,dc=example,dc=test
rootpw adminpw
maxsize 1073741824
# quick, and may corrupt the data when the MACHINE stops; a kill -9 of slapd alone is harmless
dbnosync
index objectClass eq
index uid,mail,mailAlternateAddress,mailForwardingAddress eq,sub
index cn,sn,givenName eq,sub
index member,memberUid$MEMBERIDX eq
index entryUUID,entryCSN eq
access to attrs=userPassword by self write by anonymous auth by * none
access to * by dn.exact="cn=replica,dc=example,dc=test" read by dn.exact="cn=mail,ou=services,dc=example,dc=test" read by self read by * none
limits dn.exact="cn=mail,ou=services,dc=example,dc=test" size=unlimited size.pr=1000
limits dn.exact="cn=replica,dc=example,dc=test" size=unlimited time=unlimited
overlay syncprov
syncprov-checkpoint 100 5
syncprov-sessionlog 10000
overlay accesslog
logdb cn=accesslog
logops writes
logsuccess TRUE
overlay ppolicy
ppolicy_default "cn=default,ou=policies,dc=example,dc=test"
ppolicy_hash_cleartext
ppolicy_use_lockout
overlay refint
refint_attributes $REFINT
$MEMBEROF
CONF
  } > "$D/slapd.conf"

  python3 "$HERE/gen-ldif.py" "$N" > "$D/data.ldif"
  slapadd -f "$D/slapd.conf" -q -b dc=example,dc=test -l "$D/data.ldif" >>"$D/slapd.log" 2>&1 || { tail -5 "$D/slapd.log" >&2; die "slapadd failed"; }
  launch
  # slapadd runs no overlay, so groups go in online: only then is memberOf written
  local A=(-x -H "ldap://127.0.0.1:$PORT" -D cn=admin,dc=example,dc=test -w adminpw)
  python3 "$HERE/gen-ldif.py" "$N" groups | ldapadd "${A[@]}" >/dev/null
  # states that the policy overlay takes online only
  ldapmodify "${A[@]}" >/dev/null <<'LDIF'
dn: uid=carol,ou=people,dc=example,dc=test
changetype: modify
replace: pwdReset
pwdReset: TRUE

dn: uid=dave,ou=people,dc=example,dc=test
changetype: modify
replace: pwdAccountLockedTime
pwdAccountLockedTime: 000001010000Z
LDIF
  echo "slapd $(pid): ldap://127.0.0.1:$PORT ldaps://127.0.0.1:$TLSPORT CA $T/ca.pem; cn=mail,ou=services,dc=example,dc=test / svc"
}

stop() {
  ours || { echo "not running"; return 0; }
  local p i; p=$(pid)
  kill "$p"; kill -CONT "$p"           # a test may have frozen it with SIGSTOP
  for i in $(seq 100); do alive "$p" || { rm -f "$D/slapd.pid"; echo "stopped $p"; return 0; }; sleep 0.1; done
  kill -9 "$p"; rm -f "$D/slapd.pid"; echo "killed $p"
}

CMD=${1:-}; D=${2:-./data/${DEFAULT_NAME:-slapd}}
case "$CMD" in
  start) start "${@:3}" ;;
  stop) stop ;;
  resume) [ -e "$D/.throwaway" ] || die "nothing to resume in $D"; D=$(cd "$D" && pwd -P); ours && die "already running"; launch; echo "slapd $(pid)" ;;
  *) usage ;;
esac
