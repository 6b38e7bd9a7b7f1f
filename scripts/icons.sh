#!/usr/bin/env bash
# Renders the icons that Tauri and the tray want from their two SVG sources. The results are committed:
# nobody needs the renderer to build.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

have rsvg-convert || die 1 "rsvg-convert is missing (Debian: apt-get install librsvg2-bin)"
have python3 || die 1 "python3 is missing"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# render SOURCE SIZE FILE
render() {
  rsvg-convert --width "$2" --height "$2" "icons/$1.svg" --output "$3"
}

render hivekeeper 32 icons/32x32.png
render hivekeeper 128 icons/128x128.png
render hivekeeper 256 icons/128x128@2x.png
render hivekeeper 512 icons/icon.png
render hivekeeper-symbolic 64 icons/tray.png
for size in 16 24 32 48 64 128 256 512 1024; do
  render hivekeeper "$size" "$work/$size.png"
done
cp icons/hivekeeper.svg ui/public/hivekeeper.svg
python3 scripts/icons.py "$work" icons/icon.ico icons/icon.icns
