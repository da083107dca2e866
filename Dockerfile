# The sidecar in an image of its own. Build: docker build -t render-sidecar .
# Any base with Python 3.11 or newer and its venv module will do: --build-arg PYTHON_IMAGE=...
# Seen to build with buildah --isolation chroot on Debian 12's own Python; with Docker it has not been built yet.
# Podman and buildah keep the HEALTHCHECK only with --format docker.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
RUN python3 -m venv /opt/sidecar
COPY config/requirements.txt /build/
RUN /opt/sidecar/bin/pip install --no-cache-dir --require-hashes -r /build/requirements.txt
COPY pyproject.toml README.md LICENSE /build/
COPY config/sidecar.example.yaml /build/config/
COPY sidecar /build/sidecar
RUN /opt/sidecar/bin/pip install --no-cache-dir --no-deps /build

FROM ${PYTHON_IMAGE}
# The folders exist with the right owner, so that fresh volumes mounted there inherit it.
RUN echo 'sidecar:x:10001:10001:render-sidecar:/nonexistent:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'sidecar:x:10001:' >> /etc/group \
 && install -d -o 10001 -g 10001 -m 0750 /var/lib/sidecar \
 && install -d -o 10001 -g 10001 -m 0775 /renders \
 && install -d /etc/sidecar
COPY --from=build /opt/sidecar /opt/sidecar
ENV PATH=/opt/sidecar/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# Run it with the renderer's uid where you can (--user): leases on its files then need no capability.
USER 10001:10001
VOLUME ["/var/lib/sidecar"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["sidecar", "health"]
ENTRYPOINT ["sidecar"]
CMD ["run", "--config", "/etc/sidecar/sidecar.yaml"]
