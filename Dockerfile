# A server of forecasts: one model, by NumPy, as an ordinary user on a read-only file system.
#   docker build -t forecasts .
# With TensorFlow, which runs every network (2.7 GB):
#   docker build -t forecasts --build-arg BACKEND=tensorflow --build-arg LOCK=requirements.lock .
# docs/operations.md says how to run it.
FROM python:3.11-slim AS build
ARG LOCK=requirements-serve.lock
COPY ${LOCK} /tmp/requirements.lock
RUN python -m venv /app/venv \
    && /app/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes -r /tmp/requirements.lock
COPY pipeline /app/pipeline
RUN /app/venv/bin/python -m compileall -q /app/pipeline

FROM python:3.11-slim
ARG BACKEND=numpy
# LightGBM's threads, which its wheel takes from the system; boosted trees alone need them.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /app /app
# Nothing is written but to /tmp, where a model from a tracking server is kept while it is served.
ENV PATH=/app/venv/bin:$PATH \
    FORECAST_BACKEND=$BACKEND \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
USER 65534:65534
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/ready', timeout=4)"]
ENTRYPOINT ["python", "-m", "pipeline", "serve", "--host", "0.0.0.0", "--port", "8080"]
CMD ["--model", "/model"]
