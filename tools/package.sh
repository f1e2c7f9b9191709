#!/usr/bin/env bash
# make package   the Debian package: program, service, man pages, completions, example configuration
#
# Needs dpkg-deb, which Debian has. The package is at $CARGO_TARGET_DIR/package/.
set -euo pipefail
umask 022
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
program=$target/release/hintdex
[ -x "$program" ] || { echo "package: build the program first: make build" >&2; exit 2; }
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
architecture=$(dpkg --print-architecture)
out=$target/package
root=$out/root
rm -rf "$root"
mkdir -p "$root/DEBIAN" "$out"

install -D -m 0755 "$program" "$root/usr/bin/hintdex"
strip "$root/usr/bin/hintdex"
install -D -m 0644 packaging/hintdex.service "$root/usr/lib/systemd/system/hintdex.service"
install -D -m 0644 packaging/sysusers.conf "$root/usr/lib/sysusers.d/hintdex.conf"
install -D -m 0640 packaging/hintdex.toml "$root/etc/hintdex/hintdex.toml"
install -D -m 0644 docs/examples/hintdex.toml "$root/usr/share/doc/hintdex/examples/hintdex.toml"
for file in README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT; do
    install -D -m 0644 "$file" "$root/usr/share/doc/hintdex/$file"
done
mkdir -p "$root/usr/share/man/man1"
"$program" generate man --out "$root/usr/share/man/man1"
gzip -9n "$root"/usr/share/man/man1/*.1
install -d "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" \
    "$root/usr/share/fish/vendor_completions.d"
"$program" generate completions bash >"$root/usr/share/bash-completion/completions/hintdex"
"$program" generate completions zsh >"$root/usr/share/zsh/vendor-completions/_hintdex"
"$program" generate completions fish >"$root/usr/share/fish/vendor_completions.d/hintdex.fish"

install -m 0755 packaging/debian/postinst packaging/debian/prerm "$root/DEBIAN/"
echo /etc/hintdex/hintdex.toml >"$root/DEBIAN/conffiles"
size_kib=$(du -sk --exclude=DEBIAN "$root" | cut -f1)
cat >"$root/DEBIAN/control" <<CONTROL
Package: hintdex
Version: $version
Architecture: $architecture
Maintainer: the hintdex authors <hintdex@localhost>
Depends: libc6 (>= 2.36), libgcc-s1, libstdc++6
Recommends: systemd
Section: net
Priority: optional
Installed-Size: $size_kib
Description: index that turns the hint of a radio packet back into its device
 Millions of field devices send short encrypted packets that name nobody. hintdex resolves
 the hint at the head of each packet to a device and a nonce, verifies and decrypts the
 packet, and hands its payload on at least once. The package has the program and a service
 that takes packets from LoRa gateways, UDP, MQTT or a socket.
CONTROL
# The same files give the same package.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
package=$out/hintdex_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
echo "wrote $package ($(stat -c %s "$package") bytes)"
