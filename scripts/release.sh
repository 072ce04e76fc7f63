#!/usr/bin/env bash
# Builds what is handed out, in target/dist: a tarball of the optimised settle with its installer, and
# where cargo-deb is installed a Debian package. Where the musl target and musl-gcc are installed, also a
# tarball with a static binary, which runs on any Linux; --target TARGET builds for that target alone.
set -euo pipefail
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
musl="${host%%-*}-unknown-linux-musl"
targets=("$host")
if [ "${1:-}" = --target ]; then
    targets=("${2:?--target needs a value}")
elif command -v "${host%%-*}-linux-musl-gcc" musl-gcc >/dev/null && [ -d "$(rustc --print sysroot)/lib/rustlib/$musl" ]; then
    targets+=("$musl")
else
    echo "no static binary: install the target and the compiler (rustup target add $musl; apt install musl-tools)"
fi

dist=target/dist
rm -rf "$dist"

# a tarball for a target: install.sh finds the binary beside itself
tarball() {
    local target=$1 built name shell
    cargo build --release --locked --target "$target"
    built=${CARGO_TARGET_DIR:-target}/$target/release/settle
    name=settle-$("$built" --version | cut -d' ' -f2)-$target
    mkdir -p "$dist/$name/man" "$dist/$name/completions" "$dist/$name/scripts" "$dist/$name/benches" "$dist/$name/src/guide"
    install -m 755 "$built" "$dist/$name/settle"
    cp -r README.md CHANGELOG.md CONTRIBUTING.md LICENSE systemd "$dist/$name/"
    # the pages that these link to, at the places where the links point
    cp benches/README.md "$dist/$name/benches/"
    cp src/guide/*.md src/guide/report.png "$dist/$name/src/guide/"
    cp scripts/install.sh scripts/configure.sh scripts/uninstall.sh scripts/alert.sh "$dist/$name/scripts/"
    "$built" man > "$dist/$name/man/settle.1"
    for shell in bash zsh fish; do "$built" completions $shell > "$dist/$name/completions/settle.$shell"; done
    tar -C "$dist" --sort=name --owner=0 --group=0 --numeric-owner -czf "$dist/$name.tar.gz" "$name"
}

# the package: units and scripts with its paths in them
package() {
    local target=$1 file parts
    parts=$(echo "$dist"/settle-*-"$target"/)
    mkdir -p "$dist/deb"
    for file in systemd/* scripts/configure.sh; do
        sed 's|/usr/local|/usr|g; s|configure\.sh|settle-configure|g' "$file" > "$dist/deb/$(basename "$file")"
    done
    cp "${parts}man/settle.1" "${parts}completions"/settle.* "${parts}settle" "$dist/deb/"
    cargo deb --no-build --no-strip --target "$target" --output "$dist/"
}

for target in "${targets[@]}"; do tarball "$target"; done
if cargo deb --version >/dev/null 2>&1; then
    package "${targets[0]}"
else
    echo "cargo-deb is not installed: no Debian package (cargo install cargo-deb)"
fi
rm -rf "$dist/deb" "$dist"/settle-*/
shopt -s nullglob
(cd "$dist" && sha256sum -- *.tar.gz *.deb > SHA256SUMS)
ls -l "$dist"
