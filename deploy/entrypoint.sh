#!/bin/sh
# Start opspub with the compiled kernels of the image. The root file system may be read-only; /tmp must not be.
set -eu
if [ ! -d "$NUMBA_CACHE_DIR" ]; then
    cp -R /opt/opspub/kernels "$NUMBA_CACHE_DIR"
fi
exec opspub "$@"
