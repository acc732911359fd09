#!/usr/bin/env bash
# Measures the compile time of an annotated method, and compares it with the same check written by
# hand and with `#[tracing::instrument]`. The script builds a crate of 1000 methods in each way, in
# turn, and prints the medians of the CPU time that each method adds to a plain one. It fails if
# `#[refresh_token]` takes more than 1.2 times as long as the check by hand, or more than a quarter
# of what `instrument` takes.
# Usage: benches/compile_time.sh [rounds]
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-7}
methods=1000
here=$PWD
# With incremental compilation, each round would reuse all but the expansion of the macros.
export CARGO_INCREMENTAL=0
work=$here/target/compile-time
ways='plain hand ours retry instrument'

# method WAY NUMBER: prints one method.
method() {
    case $1 in
    plain) printf '    pub async fn m%d(&self, id: u64) -> Result<u64, Error> {\n        Ok(id)\n    }\n' "$2" ;;
    hand)
        printf '    pub async fn m%d(&self, id: u64) -> Result<u64, Error> {\n' "$2"
        printf '        if !self.session.is_ready() {\n            self.session.fresh().await?;\n        }\n        Ok(id)\n    }\n'
        ;;
    ours) printf '    #[jwt_refresh::refresh_token]\n    pub async fn m%d(&self, id: u64) -> Result<u64, Error> {\n        Ok(id)\n    }\n' "$2" ;;
    retry) printf '    #[jwt_refresh::refresh_token(token = _token, retry)]\n    pub async fn m%d(&self, id: u64) -> Result<u64, Error> {\n        Ok(id)\n    }\n' "$2" ;;
    instrument) printf '    #[tracing::instrument(skip_all)]\n    pub async fn m%d(&self, id: u64) -> Result<u64, Error> {\n        Ok(id)\n    }\n' "$2" ;;
    esac
}

generate() {
    mkdir -p "$work/$1/src"
    cat >"$work/$1/Cargo.toml" <<TOML
[package]
name = "$1"
version = "0.0.0"
edition = "2024"

[dependencies]
jwt-refresh = { path = "$here", default-features = false }
tracing = "0.1"
TOML
    {
        printf '#![allow(unused_imports)]\nuse jwt_refresh::{Error, Session, TokenProvider};\n'
        printf 'pub struct Api {\n    pub session: Session,\n}\nimpl Api {\n'
        for ((i = 0; i < methods; i++)); do method "$1" "$i"; done
        printf '}\n'
        # An async method that is never called is not compiled completely.
        printf 'pub type Call<'"'a"'> = std::pin::Pin<Box<dyn Future<Output = Result<u64, Error>> + Send + '"'a"'>>;\n'
        printf 'pub fn calls(api: &Api) -> Vec<Call<'"'_"'>> {\n    let mut calls: Vec<Call<'"'_"'>> = Vec::new();\n'
        for ((i = 0; i < methods; i++)); do printf '    calls.push(Box::pin(api.m%d(1)));\n' "$i"; done
        printf '    calls\n}\n'
    } >"$work/$1/src/lib.rs"
}

# build WAY: builds a crate whose dependencies are built, and prints the CPU seconds.
build() {
    touch "$work/$1/src/lib.rs"
    local TIMEFORMAT='%U %S'
    { time cargo build --quiet --offline --manifest-path "$work/Cargo.toml" -p "$1" >"$work/log" 2>&1; } 2>&1 |
        awk '{ print $1 + $2 }'
}

median() { sort -n "$1" | awk '{ line[NR] = $1 } END { print line[int((NR + 1) / 2)] }'; }

rm -f "$work"/*.times
for way in $ways; do generate "$way"; done
printf '[workspace]\nresolver = "3"\nmembers = ["plain", "hand", "ours", "retry", "instrument"]\n' >"$work/Cargo.toml"
cp Cargo.lock "$work/Cargo.lock"
cargo build --quiet --manifest-path "$work/Cargo.toml"

for ((round = 0; round < rounds; round++)); do
    for way in $ways; do build "$way" >>"$work/$way.times"; done
done

awk -v methods="$methods" -v plain="$(median "$work/plain.times")" -v hand="$(median "$work/hand.times")" \
    -v ours="$(median "$work/ours.times")" -v retry="$(median "$work/retry.times")" -v instrument="$(median "$work/instrument.times")" 'BEGIN {
    hand = (hand - plain) * 1000 / methods
    ours = (ours - plain) * 1000 / methods
    retry = (retry - plain) * 1000 / methods
    instrument = (instrument - plain) * 1000 / methods
    printf "CPU time that each method adds to a plain one, of %.2f ms\n", plain * 1000 / methods
    printf "  check by hand            %6.2f ms\n", hand
    printf "  #[refresh_token]         %6.2f ms   %.2f of the check by hand (limit 1.20)\n", ours, ours / hand
    printf "  with `retry`             %6.2f ms   %.2f of what instrument takes\n", retry, retry / instrument
    printf "  #[tracing::instrument]   %6.2f ms   ours is %.2f of it (limit 0.25)\n", instrument, ours / instrument
    exit ours > 1.2 * hand || ours > instrument / 4
}'
