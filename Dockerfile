# The service in a container: `docker build --tag local-telemetry-api .`
# See docs/deploy/deploy.md.

FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY telemetry telemetry
COPY telemetry_plugins telemetry_plugins
RUN python -m venv /opt/telemetry \
    && /opt/telemetry/bin/pip install --no-cache-dir --disable-pip-version-check .

FROM python:3.11-slim
RUN groupadd --gid 1000 telemetry \
    && useradd --uid 1000 --gid 1000 --home-dir /data --no-create-home --shell /usr/sbin/nologin telemetry \
    && install --directory --owner=1000 --group=1000 --mode=0700 /data
COPY --from=build /opt/telemetry /opt/telemetry
ENV PATH=/opt/telemetry/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TELEMETRY_BASE_DIR=/data \
    TELEMETRY_API_HOST=0.0.0.0 \
    TELEMETRY_API_PORT=8765
USER 1000:1000
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8765
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as request; request.urlopen('http://127.0.0.1:' + os.environ['TELEMETRY_API_PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["telemetry"]
CMD ["serve"]
