#!/usr/bin/env bash
# Lints both OpenAPI documents and fuzzes the client API by the one that it serves. Called by scripts/outside.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d "$RELAIS_TOOLS/openapi.XXXXXX")
trap 'rm -rf "$work"' EXIT

for spec in 3.1 3.0; do
    "$RELAIS_BIN" openapi --spec "$spec" >"$work/openapi-$spec.json"
    REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true \
        redocly lint --config "$here/redocly.yaml" "$work/openapi-$spec.json"
done

# Its reports and its memory of earlier runs stay out of the tree. The same cases each time, so that a change that has
# nothing to do with the API does not fail by chance; RELAIS_FUZZ_SEED draws others.
cd "$work"
SCHEMATHESIS_HOOKS=$here/schemathesis_hooks.py schemathesis --config-file "$here/schemathesis.toml" run \
    --phases examples,coverage,fuzzing --max-examples "${RELAIS_FUZZ_EXAMPLES:-12}" --workers 2 --seed "${RELAIS_FUZZ_SEED:-1}" \
    --request-timeout 40 --warnings off --no-color "$RELAIS_URL/openapi.json"
