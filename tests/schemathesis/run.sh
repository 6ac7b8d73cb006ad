#!/bin/sh
# Tries every operation of /openapi.json against a service on a port of its own: no answer is a failure of the service,
# and each is as the document says.
# Usage: tests/schemathesis/run.sh SDK_SERVER, the path of the example `sdk_server` of the package `service`.
# SCHEMATHESIS says where it is installed, SECONDS_MAX how long it may take.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
token=only-for-tests-of-the-document
work=$(mktemp -d)
mkfifo "$work/stdin"
"$1" "$token" <"$work/stdin" >"$work/address" &
server=$!
exec 3>"$work/stdin"
trap 'exec 3>&-; wait $server; rm -r "$work"' EXIT
until grep -q listening "$work/address"; do sleep 0.1; done
address=$(sed -n 's/^listening on //p' "$work/address")

# Something of everything is there: rated and unrated usage, a rejected event, a conflict, accruals, a reader.
event() {
    printf '{"specversion":"1.0","id":"%s","source":"shop","type":"llm.completion","subject":"%s","data":{"model":"%s","input_tokens":%s,"output_tokens":7}}' "$@"
}
curl -sf -o "$work/receipt" "$address/v1/events" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d "[
    $(event 1 contoso gpt 1200), $(event 2 fabrikam gpt 40), $(event 3 nobody gpt 5), $(event 1 contoso gpt 9),
    $(event 4 contoso gpt '"many"')]"
curl -sf -o "$work/page" "$address/v1/rated?reader=billing" -H "Authorization: Bearer $token"
until curl -sf "$address/v1/accruals" -H "Authorization: Bearer $token" | grep -q accrual_id; do sleep 0.2; done

cd "$work"
"${SCHEMATHESIS:-schemathesis}" --config-file "$here/schemathesis.toml" run "$address/openapi.json" \
    --header "Authorization: Bearer $token" --max-time "${SECONDS_MAX:-60}" --no-color
