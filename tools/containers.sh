#!/bin/sh
# Makes what `make image` needs: podman with runc and buildah, and a Debian base that is bootstrapped here, as no registry is asked.
# Exit 0: both are there; 3, with the reason in one line: they cannot be had here, and nothing is built.
set -u
base=localhost/base:bookworm
lacking() { echo "image: not built or run here: $1"; exit 3; }

[ "$(id -u)" = 0 ] || lacking "podman wants root with runc here; run it as root, or where docker compose is: docs/containers.md"
for program in podman runc buildah debootstrap; do
  command -v "$program" >/dev/null 2>&1 || missing="${missing:-} $program"
done
if [ "${missing:-}" ]; then
  command -v apt-get >/dev/null 2>&1 || lacking "no$missing, and no apt-get to install them"
  apt-get update -qq >/dev/null 2>&1
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null 2>&1 || lacking "apt-get could not install$missing"
fi
podman --runtime runc info >/dev/null 2>&1 || lacking "podman with runc does not answer"
if ! podman image exists "$base"; then
  folder=$(mktemp -d) || lacking "no room for a base"
  trap 'rm -rf "$folder"' EXIT
  debootstrap --variant=minbase bookworm "$folder/root" >/dev/null 2>&1 || lacking "debootstrap could not make a Debian base"
  tar -C "$folder/root" -c . | podman import - "$base" >/dev/null 2>&1 || lacking "podman could not import the base"
fi
podman --runtime runc run --rm --network none --ulimit nofile=10000:10000 --ulimit nproc=4000:4000 "$base" true >/dev/null 2>&1 ||
  lacking "a container of $base does not start under runc"
