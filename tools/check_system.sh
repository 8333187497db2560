#!/usr/bin/env bash
# Looks for what Debian has to bring, and prints the one line that installs what is missing.
set -u
missing=()
have() { command -v "$1" >/dev/null 2>&1; }
if have python3; then
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  python3 -c 'import pathlib, sysconfig; exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' ||
    missing+=(python3-dev)
else
  missing+=(python3 python3-venv python3-dev)
fi
have g++ || missing+=(g++)
have git || missing+=(git)
[ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || [ -e /etc/ssl/cert.pem ] ||
  missing+=(ca-certificates)
if [ ${#missing[@]} -gt 0 ]; then
  echo "spikevox needs: apt-get install -y ${missing[*]}" >&2
  exit 1
fi
python3 -c 'import sys; exit(sys.version_info < (3, 11))' ||
  { echo "spikevox needs Python 3.11 or newer; python3 is $(python3 -V)" >&2; exit 1; }
