# syntax=docker/dockerfile:1
ARG GO_IMAGE=docker.io/library/golang:1.26
ARG BASE_IMAGE=gcr.io/distroless/static-debian12:nonroot

FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src
# A layer of its own, so that a change of code does not download modules again.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG TARGETOS TARGETARCH
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /berth ./cmd/berth

FROM ${BASE_IMAGE}
COPY --from=build /berth /berth
USER 65532:65532
ENTRYPOINT ["/berth"]
CMD ["serve"]
