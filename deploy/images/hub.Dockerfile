# The hub as an image of one static program: no shell, no package, no root.
#
#   docker build -f deploy/images/hub.Dockerfile -t muster-hub:0.1.0 .
#
# Both architectures from one machine: docker buildx build --platform linux/amd64,linux/arm64 ...
FROM rust:1.95-alpine AS build
# A C compiler and musl's headers, for the cryptography in ring.
RUN apk add --no-cache build-base
WORKDIR /src
COPY . .
# On Alpine the host target is musl, which is linked statically.
RUN cargo build --release --locked --package muster-hub \
 && cp target/release/muster-hub /muster-hub \
 && mkdir -p /rootfs/var/lib/muster-hub /rootfs/tmp \
 && chown -R 65532:65532 /rootfs/var/lib/muster-hub

# Roots for https towards Git servers, when no CA file is given.
FROM alpine:3 AS roots
RUN apk add --no-cache ca-certificates

# Repositories over ssh need an ssh client; build with --target ssh for an image that has one.
FROM alpine:3 AS ssh
RUN apk add --no-cache ca-certificates openssh-client && adduser -D -H -u 65532 muster
COPY --from=build /muster-hub /usr/local/bin/muster-hub
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/muster-hub"]
CMD ["run", "--dir", "/etc/muster-hub"]

FROM scratch
COPY --from=roots /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /rootfs/ /
COPY --from=build /muster-hub /muster-hub
USER 65532:65532
ENTRYPOINT ["/muster-hub"]
CMD ["run", "--dir", "/etc/muster-hub"]
