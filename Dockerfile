# syntax=docker/dockerfile:1
# The relay, what it is linked with and the roots that it trusts: nothing else, and no shell. It runs
# as nobody, and the root may be read-only. docs/containers.md has the lines that build and run it.

FROM rust:1.95-bookworm AS build
WORKDIR /build
# deploy/build looks what runs at the start, and links by lld. The package `lld` is version 14 here, which
# packs no relocations.
RUN apt-get update \
 && apt-get install -y --no-install-recommends lld-19 valgrind \
 && rm -rf /var/lib/apt/lists/*
ENV PATH=/usr/lib/llvm-19/bin:$PATH
COPY . .
# What is compiled and downloaded stays between builds, and in no layer.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    deploy/build \
 && deploy/image-root target/dist/mailbearer /root-of-image \
 && mkdir /state

FROM scratch
LABEL org.opencontainers.image.title="mailbearer" \
      org.opencontainers.image.description="Keeps old mail clients working: rewrites their sign-in into XOAUTH2" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /root-of-image /
# The state directory of a file in /etc/mailbearer; a volume there begins with its owner. With grants
# of applications and passwords from the file nothing is written, and none is needed.
COPY --from=build --chown=65534:65534 --chmod=700 /state /var/lib/mailbearer
# The roots, where the library that asks for them looks first.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PATH=/usr/local/bin
# By number, so that an orchestrator can see that it is not root.
USER 65534:65534
# Through the control socket in the state directory.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s \
    CMD ["/usr/local/bin/mailbearer", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/mailbearer"]
CMD ["serve"]
