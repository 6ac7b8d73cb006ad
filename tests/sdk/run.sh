#!/bin/sh
# Runs the published clients against a service on a port of its own.
# Usage: tests/sdk/run.sh SDK_SERVER, the path of the example `sdk_server` of the package `service`.
# PYTHON and NODE_PATH say where the clients are installed; those for Go and Java are fetched where there is `go` and `mvn`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
mkfifo "$work/stdin"
"$1" <"$work/stdin" >"$work/address" &
server=$!
exec 3>"$work/stdin"
trap 'exec 3>&-; wait $server; rm -r "$work"' EXIT
until grep -q listening "$work/address"; do
    kill -0 $server || exit 1
    sleep 0.1
done
address=$(sed -n 's/^listening on //p' "$work/address")
"${PYTHON:-python3}" "$here/openmeter_quickstart.py" "$address"
"${PYTHON:-python3}" "$here/cloudevents_modes.py" "$address"
# Modules are looked for beside the script, not in NODE_PATH.
cp "$here/openmeter_quickstart.mjs" "$work/"
ln -s "${NODE_PATH:-$here/node_modules}" "$work/node_modules"
node "$work/openmeter_quickstart.mjs" "$address"
if command -v go >/dev/null; then
    (cd "$here/go" && go run . "$address" && go run ./openmeter "$address")
else
    echo 'NOT TESTED: no go, so neither the CloudEvents SDK for Go nor the wire of the OpenMeter client for Go'
fi
if command -v mvn >/dev/null; then
    cp -r "$here/java" "$work/java"
    (cd "$work/java" && mvn -q -B package dependency:copy-dependencies -DoutputDirectory=target/lib)
    java -cp "$work/java/target/classes:$work/java/target/lib/*" Client "$address"
else
    echo 'NOT TESTED: no mvn, so not the CloudEvents SDK for Java'
fi
