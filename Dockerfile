# syntax=docker/dockerfile:1

# The build: rust:1 on Debian 12, because the final image has the C library of Debian 12. aws-lc-sys wants a C compiler,
# which the image has, and CMake on the platforms for which it brings no generated sources.
FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /usher
COPY Cargo.toml Cargo.lock clippy.toml rustfmt.toml ./
COPY .cargo .cargo
COPY src src
# The manifest names the test target, so the file must be there, whatever is in it.
RUN mkdir -p tests/it && touch tests/it/main.rs
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/usher/target \
    cargo build --release --locked --bin usher && cp target/release/usher /usr/local/bin/usher

# What is shipped: the binary, the C library, the roots of the public authorities, and a user without rights. No shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /usr/local/bin/usher /usr/local/bin/usher
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/usher/
WORKDIR /etc/usher
EXPOSE 8080 8443
# Asks at the listen.admin of /etc/usher/usher.yaml; `--config` names another file, `--admin` an address.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["/usr/local/bin/usher", "health"]
# SIGTERM drains: readiness first, then connections. Give `docker stop --time` more than the drain takes.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/usher"]
CMD ["serve", "--config", "/etc/usher/usher.yaml"]
