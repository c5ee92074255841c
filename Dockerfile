# The same image as `make image` writes without Docker, up to timestamps:
#   docker build --tag certwright:0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" .
FROM rust:1.95-bookworm AS build
WORKDIR /certwright
COPY . .
RUN apt-get update && apt-get install --yes --no-install-recommends cmake clang
# An explicit target keeps the flags away from what runs at build time.
RUN target="$(rustc --print host-tuple)" && \
    RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$CARGO_HOME=/cargo" \
        cargo build --release --locked --package certwright --bin certwright --target "$target" && \
    mkdir --parents /image/etc/ssl/certs /image/usr/share/doc/certwright && \
    cp "target/$target/release/certwright" /image/certwright && \
    cp LICENSE /image/usr/share/doc/certwright/LICENSE && \
    printf 'hosts: files dns\n' > /image/etc/nsswitch.conf
RUN cargo run --locked --package certwright-image -- roots > /image/etc/ssl/certs/ca-certificates.crt

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Certwright" \
      org.opencontainers.image.description="Keeps TLS Secrets filled with certificates from any ACME CA" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /image /
USER 65532:65532
ENTRYPOINT ["/certwright"]
