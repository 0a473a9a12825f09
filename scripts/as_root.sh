#!/usr/bin/env bash
# Run a command as root: directly, or through sudo where that asks for no password.
set -euo pipefail
if [ "$(id -u)" = 0 ]; then exec "$@"; fi
if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then exec sudo -n "$@"; fi
echo "this needs root: run '$*' as root, or make sudo available" >&2
exit 2
