# The relay and nothing else, running as nobody. It writes nothing: the root may be read-only.
#
#   docker build -t mailbearer .
#   docker run --read-only --network host --env CONTOSO_SECRET \
#     -v ./mailbearer.toml:/etc/mailbearer/mailbearer.toml:ro mailbearer
#
# User 65534 has to be able to read that file, and those that it names.
#
# Listeners are on loopback, so the container shares the network of the application it serves: the
# host's, as above, or a pod's.

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
RUN cargo build --locked --profile dist --bin mailbearer

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/target/dist/mailbearer /usr/local/bin/mailbearer
# By number, so that an orchestrator can see that it is not root.
USER 65534:65534
ENTRYPOINT ["/usr/local/bin/mailbearer"]
CMD ["serve"]
