#!/usr/bin/env bash
# The Postman collection against a running demo, by newman: every request is sent, and every test holds.
# scripts/outside sets RELAIS_URL and RELAIS_PHONE (the demo) and RELAIS_TOOLS (where the report goes).
#
#   tests/outside/postman.sh [--folder NAME]...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

log=$RELAIS_TOOLS/postman.log report=$RELAIS_TOOLS/postman.json
rm -f "$report"

# A request waits 30 s at most, a run lasts half a minute: what takes longer hangs.
if ! newman run postman/relais.postman_collection.json \
    --environment postman/demo.postman_environment.json \
    --env-var "url=$RELAIS_URL" --env-var "phone=$RELAIS_PHONE" "$@" \
    --timeout-request 40000 --timeout-script 45000 --timeout 120000 \
    --color off --disable-unicode --reporters cli,json --reporter-json-export "$report" \
    --reporter-cli-no-banner --reporter-cli-no-success-assertions >"$log" 2>&1; then
    sed 's#/_sim/requests/[^/ ]*/#/_sim/requests/…/#' "$log"
    exit 1
fi

# Nothing has failed, and nothing was left out: a request that its script skips has no answer.
node - "$report" "$#" <<'END'
const [, , report, choices] = process.argv;
const { collection, run } = JSON.parse(require('node:fs').readFileSync(report));
const requests = (items) => items.flatMap((item) => (item.item ? requests(item.item) : [item]));
const answered = new Set(run.executions.filter(({ response }) => response).map(({ item }) => item.id));
const unsent = requests(collection.item).filter(({ id }) => !answered.has(id));
const seconds = Math.round((run.timings.completed - run.timings.started) / 1000);
console.log(`postman: ${answered.size} requests, ${run.stats.assertions.total} tests passed, ${seconds} s`);
if (choices === '0' && unsent.length) {
    console.log(`postman: never sent: ${unsent.map(({ name }) => name).join('; ')}`);
    process.exit(1);
}
END
