# The sidecar's image. docs/internals/image.md tells what is in it, how it is built for both architectures, and how to pin the base.
#
# BASE: where Python and its libraries come from. Any image with PYTHON (3.15 or newer for lazy imports; venv and ensurepip included), glibc
# and CA certificates serves; pin it by digest for a build that stays the same.
ARG BASE=docker.io/library/python:3.15-slim

FROM ${BASE} AS build
# PYTHON: the interpreter's name on the base's PATH.
ARG PYTHON=python3.15
# SOURCE_DATE_EPOCH: the one time that every file of the image gets, in seconds since 1970.
ARG SOURCE_DATE_EPOCH=0
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_QUIET=1 PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0
WORKDIR /build
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN ${PYTHON} -m venv tools \
 && tools/bin/pip install --only-binary :all: --require-hashes -r requirements/build.txt
# Wheels of what is pinned, hashes checked. PyYAML has none for this Python: one is made from its pinned source, without its C parser, which
# kubeconfig files can do without; so no compiler is needed, not even here.
RUN PYYAML_FORCE_LIBYAML=0 tools/bin/pip wheel --only-binary :all: --no-binary pyyaml --no-build-isolation --no-deps --require-hashes \
      -r requirements/runtime.txt --wheel-dir wheels
COPY pyproject.toml ./
COPY sidecar sidecar
# An empty README: the image does not change with it.
RUN touch README.md && tools/bin/pip wheel --no-build-isolation --no-deps --wheel-dir wheels . \
 && ${PYTHON} -m venv --without-pip /opt/leader-sidecar \
 && tools/bin/pip --python /opt/leader-sidecar/bin/python install --no-compile --no-deps --no-index wheels/*.whl
COPY image/root.py image/
# Byte code without columns: memory (docs/internals/speed-and-memory.md). And a look whether it is whole: each library is found, and the sidecar starts.
RUN PYTHONNODEBUGRANGES=1 ${PYTHON} image/root.py /opt/leader-sidecar /image \
 && chroot /image /opt/leader-sidecar/bin/python -c 'import sqlite3, ssl, yaml, aiohttp.web, kubernetes_asyncio.config.openid' \
 && chroot /image /opt/leader-sidecar/bin/leader-sidecar --help > /dev/null

FROM scratch
ARG BASE
# VERSION and REVISION: for the labels; the commit that the image was built from.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="leader-sidecar" \
      org.opencontainers.image.description="Leader election for Kubernetes as a sidecar: who leads, until when, on localhost" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
COPY --from=build /image /
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# Lazy imports save memory and time at the start. HOME, since kubernetes-asyncio wants one and an unknown uid has none; nothing is written;
# the trusted CAs are in the one place there is.
ENV HOME=/ \
    PATH=/opt/leader-sidecar/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHON_LAZY_IMPORTS=all \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# Any other uid does as well: nothing belongs to this one.
USER 65532:65532
EXPOSE 4041
ENTRYPOINT ["/opt/leader-sidecar/bin/leader-sidecar"]
