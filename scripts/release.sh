#!/usr/bin/env bash
# Builds what is handed out, in target/dist: a tarball of the optimised settle with its installer, and
# where cargo-deb is installed a Debian package. Static (musl) where that target is installed, else for
# this machine's C library; --target TARGET chooses.
set -euo pipefail
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
musl="${host%%-*}-unknown-linux-musl"
target=$host
if command -v "${host%%-*}-linux-musl-gcc" musl-gcc >/dev/null && [ -d "$(rustc --print sysroot)/lib/rustlib/$musl" ]; then
    target=$musl
fi
[ "${1:-}" != --target ] || target=${2:?--target needs a value}

cargo build --release --locked --target "$target"
built=${CARGO_TARGET_DIR:-target}/$target/release/settle
version=$("$built" --version | cut -d' ' -f2)
dist=target/dist
name=settle-$version-$target
rm -rf "$dist"
mkdir -p "$dist/$name/man" "$dist/$name/completions" "$dist/deb"

# the tarball: install.sh finds the binary beside itself
install -m 755 "$built" "$dist/$name/settle"
cp -r README.md CHANGELOG.md CONTRIBUTING.md LICENSE systemd "$dist/$name/"
mkdir -p "$dist/$name/scripts" "$dist/$name/benches" "$dist/$name/src/guide"
# the pages that these link to, at the places where the links point
cp benches/README.md "$dist/$name/benches/"
cp src/guide/*.md src/guide/report.png "$dist/$name/src/guide/"
cp scripts/install.sh scripts/configure.sh scripts/uninstall.sh scripts/alert.sh "$dist/$name/scripts/"
"$built" man > "$dist/$name/man/settle.1"
for shell in bash zsh fish; do "$built" completions $shell > "$dist/$name/completions/settle.$shell"; done
tar -C "$dist" --sort=name --owner=0 --group=0 --numeric-owner -czf "$dist/$name.tar.gz" "$name"

# the package: units and scripts with its paths in them
for file in systemd/* scripts/configure.sh; do
    sed 's|/usr/local|/usr|g; s|configure\.sh|settle-configure|g' "$file" > "$dist/deb/$(basename "$file")"
done
cp "$dist/$name/man/settle.1" "$dist/$name/completions"/settle.* "$built" "$dist/deb/"
if cargo deb --version >/dev/null 2>&1; then
    cargo deb --no-build --no-strip --target "$target" --output "$dist/"
else
    echo "cargo-deb is not installed: no Debian package (cargo install cargo-deb)"
fi
rm -rf "$dist/deb" "${dist:?}/$name"
shopt -s nullglob
(cd "$dist" && sha256sum -- *.tar.gz *.deb > SHA256SUMS)
ls -l "$dist"
