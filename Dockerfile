# One static binary in an empty image: no shell, no package manager, a numeric user without rights.
# Built for another architecture than this machine's, Go compiles across: make image PLATFORM=linux/arm64.
FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# What `grapnel version` says; the checkout's history does not come into the image.
ARG VERSION COMMIT DATE TARGETOS TARGETARCH
ARG APP=github.com/grapnel/grapnel/internal/app
RUN --mount=type=cache,target=/root/.cache/go-build \
	CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
	-ldflags="-s -w -X $APP.version=$VERSION -X $APP.commit=$COMMIT -X $APP.date=$DATE" -o /out/grapnel ./cmd/grapnel && mkdir /out/data

FROM scratch
# Destinations and Temporal Cloud are reached over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/grapnel /grapnel
COPY --from=build /src/grapnel.yaml /etc/grapnel/grapnel.yaml
# A named volume takes its owner from this directory, so that the spool can write to it.
COPY --from=build --chown=65532:65532 /out/data /data
ENV GRAPNEL_CONFIG=/etc/grapnel/grapnel.yaml
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/grapnel"]
