# The service on a CPU, without root: see docs/serve.md.
FROM python:3.13-slim AS build
# PyTorch's wheels for CPUs take some gigabytes less than the usual ones: its install page has the address to set here.
ARG PIP_EXTRA_INDEX_URL=""
# "serve,openvino" or "serve,onnx" serves exports too.
ARG EXTRAS="serve"
WORKDIR /source
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src ./src
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt ".[${EXTRAS}]"

FROM python:3.13-slim
COPY --from=build /venv /venv
RUN useradd --system --no-create-home --uid 10001 maskwright
USER 10001
WORKDIR /tmp
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["/venv/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["/venv/bin/maskwright", "serve"]
CMD ["/model", "--host", "0.0.0.0", "--port", "8000"]
