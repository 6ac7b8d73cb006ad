#!/bin/sh
# Tries every operation of /openapi.json against a service on a port of its own: no answer is a failure of the service,
# and each is as the document says.
# Usage: tests/schemathesis/run.sh TALLYBOOK, the path of the program.
# SCHEMATHESIS says where it is installed, SECONDS_MAX how long it may take.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
token=only-for-tests-of-the-document
work=$(mktemp -d)
# Settings of whoever calls are not those of the service.
for name in $(env | sed -n 's/^\(TALLYBOOK_[A-Z0-9_]*\)=.*/\1/p'); do unset "$name"; done
cp -r "$here/../../examples/llm-tokens/catalog" "$work/catalog"
cat >"$work/tallybook.toml" <<EOF
listen = "127.0.0.1:0"
log = "error"
data = "$work/data"
catalog = "$work/catalog"
tokens = [{ name = "tests", token = "$token", scopes = ["ingest", "read", "admin"] }]
commit = { accrual_interval_ms = 100 }
EOF
"$1" serve --config "$work/tallybook.toml" >"$work/address" &
server=$!
trap 'kill $server; wait $server; rm -r "$work"' EXIT
until grep -q listening "$work/address"; do
    kill -0 $server || exit 1
    sleep 0.1
done
address=$(sed -n 's/^listening on //p' "$work/address")

# Something of everything is there: rated and unrated usage, a rejected event, a conflict, accruals, a reader.
event() {
    printf '{"specversion":"1.0","id":"%s","source":"shop","type":"llm.completion","subject":"%s","data":{"model":"%s","input_tokens":%s,"output_tokens":7}}' "$@"
}
curl -sf -o "$work/receipt" "$address/v1/events" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d "[
    $(event 1 codewright gpt 1200), $(event 2 parley gpt 40), $(event 3 nobody gpt 5), $(event 1 codewright gpt 9),
    $(event 4 codewright gpt '"many"')]"
curl -sf -o "$work/page" "$address/v1/rated?reader=billing" -H "Authorization: Bearer $token"
until curl -sf "$address/v1/accruals" -H "Authorization: Bearer $token" | grep -q accrual_id; do sleep 0.2; done

cd "$work"
"${SCHEMATHESIS:-schemathesis}" --config-file "$here/schemathesis.toml" run "$address/openapi.json" \
    --header "Authorization: Bearer $token" --max-time "${SECONDS_MAX:-60}" --no-color
