# syntax=docker/dockerfile:1
# The image of make image, by a container engine.
ARG GO_IMAGE=docker.io/library/golang:1.26
ARG BASE_IMAGE=scratch

FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src
# A layer of its own, so that a change of code does not download modules again.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG TARGETOS TARGETARCH
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /berth ./cmd/berth

FROM ${BASE_IMAGE}
ARG VERSION=dev
ARG REVISION
LABEL org.opencontainers.image.title=berth \
      org.opencontainers.image.source=https://berth.dev/berth \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION}
COPY --from=build /berth /berth
WORKDIR /
USER 65532:65532
EXPOSE 9443 8080 8081
ENTRYPOINT ["/berth"]
CMD ["serve"]
