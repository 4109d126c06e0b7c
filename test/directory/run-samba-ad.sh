#!/bin/bash
# Throw-away Samba AD domain controller, bound to ONE loopback address, without systemd. Needs root: AD's ports are fixed.
#
#   run-samba-ad.sh start  [DIR] [IP] [NBULK]   new forest CORP.TEST        (./data/samba-ad 127.0.0.10 200)
#   run-samba-ad.sh stop   [DIR]                stop by PID; data and log stay in DIR
#   run-samba-ad.sh resume [DIR]                start again on the data that stop, or a kill, left
# EXCH=0 leaves out the Exchange attributes (exch-*.ldif), which saves some seconds. A second DC needs another DIR and IP.
#
# Ports on IP: LDAP+StartTLS 389, LDAPS 636, global catalog 3268 / LDAPS 3269, Kerberos 88, kpasswd 464, DNS 53, RPC 135 and up.
# CA: DIR/tls/ca.pem, server name dc1.corp.test. Kerberos client settings: KRB5_CONFIG=DIR/krb5.conf. Log: DIR/samba.log.
# Keytab of svc-mail (imap/ smtp/ pop/ HTTP/ mail.corp.test, AES): DIR/mail.keytab. Base DC=corp,DC=test, NetBIOS name CORP.
#
#   who                          password        what
#   CORP\Administrator           Adm1n-Passw0rd  domain admin
#   svc-ldap@corp.test           Passw0rd!x      the mail server's account: a plain user
#   svc-mail@corp.test           Passw0rd!x      owner of the mail SPNs
#   alice@corp.test              Passw0rd!x      aliases a.smith@ and postmaster@example.test in proxyAddresses
#   bob                          Passw0rd!x      disabled                 -> bind: 49, data 533
#   carol                        Passw0rd!x      must change the password -> bind: 49, data 773
#   dave                         Passw0rd!x      account expired          -> bind: 49, data 701
#   erin@example.test            Passw0rd!x      UPN outside the realm, equal to her mail address
#   frank@corp.test              Passw0rd!x      plain; for lockout tests (3 wrong passwords lock -> data 775)
#   u0000 ...                    none            NBULK users that cannot sign in; uNNNN has the alias aliasN@example.test
# Groups (OU=Groups): backend = alice, bob; eng = carol + backend; staff = dave + eng; bigall = all uNNNN.
# ntlm_auth finds winbind only in its built-in directory: to try it, delete "winbindd socket directory" from
# DIR/dc/etc/smb.conf and resume. STRONG_AUTH=yes gives Samba's default, which refuses go-ldap's GSSAPI bind even in TLS.
# Plain LDAP refuses simple binds ("Transport encryption required"), as AD does when signing is required.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
HERE=$(cd "$(dirname "$0")" && pwd); UNITS="samba-ad-dc smbd nmbd winbind"
die() { echo "$(basename "$0"): $*" >&2; exit 1; }
usage() { sed -n '2,/^set /p' "$HERE/run-samba-ad.sh" | grep '^#' | cut -c3-; exit 2; }

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
pid() { cat "$D/samba.pid" 2>/dev/null || true; }
ours() { alive "$(pid)" && grep -q samba "/proc/$(pid)/cmdline"; }
family() { local c; echo "$1"; for c in $(cat /proc/"$1"/task/*/children 2>/dev/null); do family "$c"; done; }

launch() {
  # shellcheck disable=SC1091
  . "$D/address"
  # stdin must not be a pipe: samba ends when it closes
  nohup samba -s "$D/dc/etc/smb.conf" -i --no-process-group --debug-stdout -d1 </dev/null >>"$D/samba.log" 2>&1 &
  local p=$! i
  echo $p > "$D/samba.pid"
  for i in $(seq 240); do
    alive $p || { tail -5 "$D/samba.log" >&2; die "samba ended: are the ports of $IP taken? log: $D/samba.log"; }
    LDAPTLS_CACERT=$D/tls/ca.pem LDAPTLS_REQCERT=never ldapsearch -x -H "ldaps://$IP" -s base -b '' defaultNamingContext >/dev/null 2>&1 && return 0
    sleep 0.25
  done
  die "samba does not answer; log: $D/samba.log"
}

start() {
  local IP=${1:-127.0.0.10} N=${2:-200} t0=$SECONDS t1 t2 T s
  case "$IP" in 127.*) ;; *) die "IP must be a loopback address, 127.x.y.z";; esac
  [ "$(id -u)" = 0 ] || die "needs root"
  need samba samba-ad-dc samba-ad-provision samba-dsdb-modules samba-vfs-modules winbind ldb-tools python3-samba ldap-utils krb5-user openssl
  ours && die "already running as $(pid); stop it first"
  # only a directory that this script made is ever emptied
  if [ -e "$D" ] && [ ! -e "$D/.throwaway" ] && [ -n "$(ls -A "$D")" ]; then die "$D holds other files"; fi
  rm -rf "$D"; mkdir -p "$D/tls"; D=$(cd "$D" && pwd -P); touch "$D/.throwaway"
  case "$D" in *[[:space:]]*) die "no spaces in the path, please";; esac
  [ ${#D} -le 60 ] || die "$D is too long for the Unix sockets in it (60 characters at most): give a shorter DIR, such as \${TMPDIR:-/tmp}/ad"
  echo "IP=$IP" > "$D/address"

  # Samba's own certificate has no subjectAltName, which Go refuses; and Samba refuses a key that others can read
  T=$D/tls
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Corp Test CA" -keyout "$T/ca.key" -out "$T/ca.pem" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj "/CN=dc1.corp.test" -keyout "$T/key.pem" -out "$T/csr.pem" 2>/dev/null
  printf 'subjectAltName=DNS:dc1.corp.test,DNS:corp.test,IP:%s\n' "$IP" > "$T/ext"
  openssl x509 -req -in "$T/csr.pem" -CA "$T/ca.pem" -CAkey "$T/ca.key" -CAcreateserial -days 3650 -extfile "$T/ext" -out "$T/cert.pem" 2>/dev/null
  chmod 600 "$T/key.pem"

  samba-tool domain provision --realm=CORP.TEST --domain=CORP --server-role=dc --dns-backend=SAMBA_INTERNAL \
    --adminpass='Adm1n-Passw0rd' --host-name=dc1 --host-ip="$IP" --targetdir="$D/dc" --use-rfc2307 \
    --option="interfaces=$IP/8" --option="bind interfaces only=yes" > "$D/provision.log" 2>&1 || { tail -5 "$D/provision.log" >&2; die "provision failed"; }
  # the short service list starts in seconds; "disable netbios" keeps ports 137-139 and 445 shut; the strong-auth value is
  # what lets a GSSAPI bind without its own sign or seal through, inside TLS
  sed -i "/^\[global\]/a\\
	tls keyfile = $T/key.pem\\
	tls certfile = $T/cert.pem\\
	tls cafile = $T/ca.pem\\
	ldap server require strong auth = ${STRONG_AUTH:-allow_sasl_over_tls}\\
	ldb:nosync = true\\
	disable netbios = yes\\
	pid directory = $D/dc/run\\
	ncalrpc dir = $D/dc/run/ncalrpc\\
	winbindd socket directory = $D/dc/run/winbindd\\
	server services = rpc, ldap, cldap, kdc, winbindd, dns" "$D/dc/etc/smb.conf"
  mkdir -p "$D/dc/run"; chmod 755 "$D/dc/run"
  t1=$SECONDS

  /usr/bin/python3 "$HERE/samba-populate.py" "$D/dc" "$N"
  # normally the "dnsupdate" service registers the DC's own names; it is off here, and without them GSSAPI binds fail
  for s in ldap/dc1.corp.test ldap/DC1 ldap/dc1.corp.test/corp.test GC/dc1.corp.test/corp.test; do
    samba-tool spn add "$s" 'DC1$' -s "$D/dc/etc/smb.conf" >/dev/null
  done
  for s in imap smtp pop HTTP; do
    samba-tool domain exportkeytab "$D/mail.keytab" --principal="$s/mail.corp.test" -s "$D/dc/etc/smb.conf" >/dev/null 2>&1
  done
  cat > "$D/krb5.conf" <<KRB
[libdefaults]
 default_realm = CORP.TEST
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
[realms]
 CORP.TEST = {
  kdc = $IP:88
 }
[domain_realm]
 .corp.test = CORP.TEST
KRB
  if [ "${EXCH:-1}" = 1 ]; then      # three runs: the schema cache has to see one before the next
    for s in 1-attrs 2-class 3-user; do
      sed "s/@BASE@/DC=corp,DC=test/g" "$HERE/exch-$s.ldif" > "$D/x.ldif"
      ldbmodify -H "$D/dc/private/sam.ldb" --option="dsdb:schema update allowed=true" "$D/x.ldif" >>"$D/provision.log" 2>&1 || { tail -5 "$D/provision.log" >&2; die "exch-$s.ldif failed"; }
    done
  fi
  t2=$SECONDS
  launch
  echo "samba $(pid): ldaps://$IP (name dc1.corp.test) CA $T/ca.pem; svc-ldap@corp.test / Passw0rd!x; KRB5_CONFIG=$D/krb5.conf"
  echo "provision $((t1 - t0)) s, fill $((t2 - t1)) s, start $((SECONDS - t2)) s"
}

stop() {
  ours || { echo "not running"; return 0; }
  local p all i q left
  p=$(pid); all=$(family "$p")
  kill "$p"; for q in $all; do kill -CONT "$q" 2>/dev/null || true; done      # a test may have frozen it with SIGSTOP
  for i in $(seq 100); do
    left=; for q in $all; do if alive "$q"; then left="$left $q"; fi; done
    [ -n "$left" ] || { rm -f "$D/samba.pid"; echo "stopped $p"; return 0; }
    sleep 0.1
  done
  # shellcheck disable=SC2086
  kill -9 $left; rm -f "$D/samba.pid"; echo "stopped $p; killed$left"
}

CMD=${1:-}; D=${2:-./data/samba-ad}
case "$CMD" in
  start) start "${@:3}" ;;
  stop) stop ;;
  resume) [ -e "$D/.throwaway" ] || die "nothing to resume in $D"; D=$(cd "$D" && pwd -P); ours && die "already running"; launch; echo "samba $(pid)" ;;
  *) usage ;;
esac
