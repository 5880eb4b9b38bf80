# The toolchain that go.mod names is fetched by the go command itself.
export GOTOOLCHAIN := auto

.PHONY: test bootstrap lint unit modules fuzz cover bench bench-stores bench-scale soak

# Everything that must pass. Nothing is skipped: what is missing is installed, or the run fails.
test: bootstrap lint unit modules fuzz

# Installs what the tests need and the machine lacks.
bootstrap:
	scripts/bootstrap

lint:
	scripts/lint

# Results of former runs do not count: go does not know that tests run the built program, too.
unit:
	mkdir -p dist
	go test -race -count=1 -p 2 -timeout 60m -coverprofile=dist/cover.out ./...
	scripts/cover dist/cover.out

# The modules that are nobody's dependency: end to end, and the benchmarks' own tests.
modules:
	scripts/modules

# Every fuzz target for FUZZTIME; a failing input is kept under testdata/fuzz.
FUZZTIME ?= 5s
fuzz:
	scripts/fuzz $(FUZZTIME)

cover: unit
	go tool cover -html=dist/cover.out -o dist/cover.html

# Prints ratios against other session libraries, measured in the same run; see docs/benchmarks.md.
bench:
	scripts/bench

# The same on PostgreSQL, Redis and SQLite, and what a million sessions take.
bench-stores:
	scripts/bench stores

bench-scale:
	scripts/bench scale

# The long versions: 100,000 simulated schedules, crash loops of hundreds of kills and fuzzers for
# minutes. Takes hours.
soak: bootstrap
	go test ./internal/simulation -run Simulation -v -timeout 4h -runs 100000
	COUNTERFOIL_SOAK=1 go test -race -p 1 -timeout 4h ./...
	COUNTERFOIL_SOAK=1 scripts/modules
	scripts/fuzz 5m
