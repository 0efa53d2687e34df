#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -p /home/dana/app && cd /home/dana/app
cat >package.json <<'J'
{ "name": "app", "version": "1.0.0", "type": "module",
  "scripts": { "build": "esbuild index.js --bundle --platform=node --outfile=dist/app.js", "test": "node --test", "postinstall": "node -e \"console.log('ready')\"" },
  "dependencies": { "left-pad": "1.3.0", "ms": "2.1.3" }, "devDependencies": { "esbuild": "0.25.0" } }
J
cat >index.js <<'J'
import ms from "ms";
console.log(ms("2 days"));
J
cat >index.test.js <<'J'
import test from "node:test"; import assert from "node:assert"; import ms from "ms";
test("ms", () => assert.equal(ms("1s"), 1000));
J
chown -R dana: /home/dana/app
as() { runuser -u dana -- env HOME=/home/dana PATH="$PATH" "$@"; }
as npm install --no-audit --no-fund
as npm run build
as npm test
as node dist/app.js
as npm ci --no-audit --no-fund
as npm ls
as npx --no-install esbuild --version
