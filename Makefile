# make demo    installs what is missing, builds, and runs the main job
# make test    installs what is missing and passes the tests
# make help    the rest

# RocksDB is 20 to 30 minutes of C++ on two cores. Every target below shares one
# build of it (same profile, same flags), and every clone on the machine the
# compiler's output, by ccache (docs/decisions/0002-one-rocksdb-build.md).
export CARGO_TARGET_DIR ?= $(CURDIR)/target
CARGO ?= cargo
LIGHT := -p hintdex-host -p hintdex-wire -p hintdex-scan -p hintdex-snapshot -p hintdex-beacon

.PHONY: help demo test test-long lint docs-check build package bench compare perf perf-accept setup clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' $(MAKEFILE_LIST)

setup:
	@tools/setup.sh

# make build   the program, at $CARGO_TARGET_DIR/release/hintdex
build: setup
	@tools/with-ccache.sh $(CARGO) build --release -p hintdex-cli -p hintdex-benches

demo: build
	@tools/demo.sh

# make lint    formatting, clippy without a warning, sizes, module circles, wire for Cortex-M4, links, prose, examples of public items
lint: setup
	$(CARGO) fmt --all --check
	tools/with-ccache.sh $(CARGO) clippy --release --workspace --all-targets -- -D warnings
	tools/check-sizes.sh
	tools/check-modules.py --self-test
	tools/check-modules.py
	CARGO="$(CARGO)" tools/check-firmware.sh
	tools/draw-docs.py check
	tools/check-docs.py lint
	RUSTDOCFLAGS="-D warnings" tools/with-ccache.sh $(CARGO) doc --release --workspace --no-deps
	tools/check-examples.py --self-test
	tools/check-examples.py

# make docs-check  runs every command of README.md and docs/guide, and compares the output
docs-check: build
	tools/check-docs.py run

# The crates without RocksDB run in the dev profile, too: there arithmetic that
# overflows panics.
test: lint build docs-check
	$(CARGO) test $(LIGHT)
	tools/with-ccache.sh $(CARGO) test --release --workspace

# make test-long  what takes longer than a change should wait: run before a release
test-long: test
	tools/with-ccache.sh $(CARGO) test --release --workspace -- --ignored
	tests/fuzz/run 60
	tools/mutants.sh hintdex-wire 0/20

# make package  the Debian package, at $CARGO_TARGET_DIR/package: program, service, man pages, completions
package: build
	tools/package.sh

# make bench   every figure of docs/results, beside its peer in the same run
bench: build
	tools/bench.sh

# make compare  hintdex beside thirteen peers, a hint's bytes and a lookup's time
compare: setup
	tools/compare.sh

# make perf    instructions of the hot paths, held against those that were accepted
perf: setup
	@tools/with-ccache.sh $(CARGO) run --quiet --release -p hintdex-perf -- check

# make perf-accept  the instructions of today are what is accepted from now on
perf-accept: setup
	@tools/with-ccache.sh $(CARGO) run --quiet --release -p hintdex-perf -- accept

clean:
	rm -rf $(CARGO_TARGET_DIR)
