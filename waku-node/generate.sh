#!/bin/sh
# Regenerates internal/lightpush/lightpushpb from proto/, and rln/rlnpb from rln/proto/. protoc-gen-go is the version that go.mod
# pins (its `tool` line); buf is fetched by npx at the version below.
set -eu
cd "$(dirname "$0")"
npx --yes @bufbuild/buf@1.74.0 generate --path proto/waku/lightpush/v3
(cd rln && npx --yes @bufbuild/buf@1.74.0 generate)
