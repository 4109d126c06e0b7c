#!/bin/bash
# The same OpenLDAP as run-slapd.sh (same users, passwords and groups), but memberOf is computed by the dynlist overlay,
# through nested groups: alice is in backend, eng, staff and dyn, and (memberOf=cn=staff,...) finds her.
#
#   run-slapd-nested.sh start|stop|resume [DIR] [PORT] [TLSPORT] [NUSERS]      (./data/slapd-nested 3892 6362 1200)
set -euo pipefail
NESTED=1 DEFAULT_NAME=slapd-nested exec "$(dirname "$0")/run-slapd.sh" "${1:-}" "${2:-./data/slapd-nested}" "${3:-3892}" "${4:-6362}" "${5:-1200}"
