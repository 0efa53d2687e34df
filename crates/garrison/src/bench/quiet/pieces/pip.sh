#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

cat >/home/dana/pip.sh <<'SCRIPT'
set -eu
cd ~
python3 -m venv env2
. env2/bin/activate
pip install -q --disable-pip-version-check requests click jinja2 PyYAML
python -c 'import requests, yaml, jinja2; print(requests.__version__)'
pip list --disable-pip-version-check | tail -2
mkdir -p pkg/src/tool && cd pkg
cat >pyproject.toml <<'T'
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"
[project]
name = "tool"
version = "0.1"
[project.scripts]
tool = "tool:main"
T
echo 'def main(): print("tool")' >src/tool/__init__.py
pip install -q --disable-pip-version-check .
tool
pip install -q --disable-pip-version-check --no-binary :all: --no-deps iniconfig
pip uninstall -q -y tool requests
SCRIPT
runuser -u dana -- env HOME=/home/dana PATH="$PATH" sh -c 'cd && sh pip.sh'
