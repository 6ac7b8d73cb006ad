#!/bin/sh
# Looks at the pages of a service with a browser, in the open and with a token.
# Usage: tests/page/run.sh SDK_SERVER [PICTURE], the path of the example `sdk_server` of the package `service`, and where
# to put a picture of the status page. Needs chromium and its chromedriver.
set -eu
here=$(dirname "$0")
token=only-for-tests-of-the-pages
work=$(mktemp -d)
mkfifo "$work/open" "$work/closed"
"$1" <"$work/open" >"$work/open.address" &
open=$!
"$1" "$token" <"$work/closed" >"$work/closed.address" &
closed=$!
exec 3>"$work/open" 4>"$work/closed"
"${CHROMEDRIVER:-chromedriver}" --port=0 >"$work/driver" 2>&1 &
driver=$!
trap 'exec 3>&- 4>&-; kill $driver; wait $open $closed || true; rm -r "$work"' EXIT
until grep -q listening "$work/open.address" && grep -q listening "$work/closed.address"; do
    kill -0 $open && kill -0 $closed || exit 1
    sleep 0.1
done
until grep -q 'on port' "$work/driver"; do
    kill -0 $driver || exit 1
    sleep 0.1
done
address() { sed -n 's/^listening on //p' "$work/$1.address"; }
port=$(sed -n 's/.*started successfully on port \([0-9]*\).*/\1/p' "$work/driver")
python3 "$here/pages.py" "http://127.0.0.1:$port" "$(address open)" "$(address closed)" "$token" "${2:-$work/status.png}"
