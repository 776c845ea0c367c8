# What there is to run; `just` alone lists it.
default:
    @just --list

# The main job, from simulated events to a report
demo *arguments:
    cargo run -- demo {{arguments}}

# Every test; those against a real broker want Java 17, Maven and kcat
test *arguments:
    cargo test --workspace --features postgres {{arguments}}

# The demo's test at its full size: 2,000 partners, 5,000,000 events
test-large:
    RAPPORT_LARGE=1 cargo test --workspace --test rapport demo

# Formatting and clippy, as CI runs them
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --features postgres -- -D warnings

fmt:
    cargo fmt --all

# Licences, sources, advisories and doubled versions (cargo install cargo-deny)
deny:
    cargo deny check

# A real Apache Kafka in the foreground, on 127.0.0.1:9092 unless told otherwise
kafka *arguments:
    tests/kafka/kafka start {{arguments}}

# A real Schema Registry in the foreground, on 127.0.0.1:8081 unless told otherwise (Java 21)
registry *arguments:
    tests/registry/registry start {{arguments}}

# Everything a change must pass, on a machine of any state
ci:
    .ci/run
