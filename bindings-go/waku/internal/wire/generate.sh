#!/bin/sh
# Makes waku.pb.go from proto/, with buf of the repository's node_modules and the protoc-gen-go named in go.mod.
set -eu
cd "$(dirname "$0")"
../../../../node_modules/.bin/buf generate proto
