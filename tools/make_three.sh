#!/usr/bin/env bash
# Makes the part of three.js that the viewer's page carries, from npm's registry: tools/make_three.sh
set -euo pipefail
cd "$(dirname "$0")/.."
three=0.187.0
esbuild=0.28.2
page=packages/tasks/src/spikevox/tasks/view/page
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" "three@$three" "esbuild@$esbuild"
cp tools/three_entry.js "$folder/entry.js"
"$folder/node_modules/.bin/esbuild" "$folder/entry.js" --bundle --minify --format=iife --global-name=THREE --charset=ascii \
  --legal-comments=none "--banner:js=/* three.js $three, https://threejs.org, MIT licence: see three.LICENSE */" \
  --outfile="$page/three.min.js"
cp "$folder/node_modules/three/LICENSE" "$page/three.LICENSE"
if grep -qiE '</script|<!--' "$page/three.min.js"; then
  echo "three.min.js holds a mark that would end its script in a page" >&2
  exit 1
fi
sha256sum "$page/three.min.js"
