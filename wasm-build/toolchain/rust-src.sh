#!/bin/bash
# The sources of Rust's standard library, from Debian's package of the same compiler version: rustup can install no
# target without its own server. usage: rust-src.sh FOLDER
set -euo pipefail
version=1.95.0
package=rust-src=1.95.0+dfsg1-2~bpo13+1
suite=trixie-backports
sha256=7b76db5b880a77f9e52975d2baa6209d2f76d2c9c2789515c3088cb960e2c83b

folder=$1
apt=$(mktemp -d)
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt"/lists/partial "$apt"/cache/archives/partial
sources=/etc/apt/sources.list.d/debian.sources
if [ -f "$sources" ]; then
  uri=$(sed -n 's/^URIs: *//p' "$sources" | grep -v security | head -1)
else
  uri=$(awk '$1=="deb" && !/security/ {print $2; exit}' /etc/apt/sources.list)
fi
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" > "$apt/sources.list"
options=(-o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root)
apt-get -qq "${options[@]}" update
(cd "$apt" && apt-get -qq "${options[@]}" download "$package")
echo "$sha256  $(ls "$apt"/rust-src_*.deb)" | sha256sum --check --quiet
dpkg -x "$apt"/rust-src_*.deb "$apt/unpacked"
rm -rf "$folder"
mkdir -p "$folder"
cp -r "$apt/unpacked/usr/src/rustc-$version/library" "$folder/"
rm -rf "$folder/library/vendor"
