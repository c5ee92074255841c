# The same images as `make image` writes without Docker, up to timestamps:
#   docker build --tag ghcr.io/certwright/certwright:0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" .
#   docker build --tag ghcr.io/certwright/certwright-dns:0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" --target certwright-dns .
FROM rust:1.95-bookworm AS build
WORKDIR /sources
COPY . .
RUN apt-get update && apt-get install --yes --no-install-recommends cmake clang
# An explicit target keeps the flags away from what runs at build time.
RUN target="$(rustc --print host-tuple)" && \
    RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$CARGO_HOME=/cargo" \
        cargo build --release --locked --target "$target" \
            --package certwright --bin certwright --package certwright-dns --bin certwright-dns && \
    for program in certwright certwright-dns; do \
        mkdir --parents "/$program/etc/ssl/certs" "/$program/usr/share/doc/$program" && \
        cp "target/$target/release/$program" "/$program/$program" && \
        cp LICENSE "/$program/usr/share/doc/$program/LICENSE" && \
        printf 'hosts: files dns\n' > "/$program/etc/nsswitch.conf"; \
    done
RUN cargo run --locked --package certwright-image -- roots | \
    tee /certwright/etc/ssl/certs/ca-certificates.crt > /certwright-dns/etc/ssl/certs/ca-certificates.crt

FROM scratch AS certwright-dns
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Certwright DNS" \
      org.opencontainers.image.description="DNS provider webhook for Certwright and cert-manager" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/certwright/certwright" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /certwright-dns /
USER 65532:65532
ENTRYPOINT ["/certwright-dns"]

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Certwright" \
      org.opencontainers.image.description="Keeps TLS Secrets filled with certificates from any ACME CA" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/certwright/certwright" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /certwright /
USER 65532:65532
ENTRYPOINT ["/certwright"]
