# Thin on purpose: the work is in `cargo xtask` (crates/xtask). ARGS are passed on: make run ARGS="--data /srv/garrison"
.PHONY: run test lint bench dist

run:
	@cargo xtask run $(ARGS)

test:
	@cargo xtask test $(ARGS)

lint:
	@cargo xtask lint $(ARGS)

bench:
	@cargo xtask bench $(ARGS)

dist:
	@cargo xtask dist $(ARGS)
