# Everything runs in .venv, which every target sets up by itself.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test bench bench-nngen bench-spiking bench-srbs bench-srbs-accuracy bench-srbs-networks bench-vgg16 bench-winograd fuzz lint clean

demo: .venv/ready
	$(BIN)/hwgen build fashion_cnn --board ulx3s --out build/demo --force
	$(BIN)/hwgen sim build/demo

test: .venv/ready lint
	$(BIN)/python -m pytest -n 2

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/ready
	$(BIN)/python -m benchmarks.main

bench-vgg16: .venv/ready
	$(BIN)/python -m benchmarks.vgg16

bench-nngen: .venv/ready
	$(BIN)/python -m benchmarks.nngen

# Trains, too, where DATA has MNIST; some parts alone: make bench-spiking PARTS="growth networks"
bench-spiking: .venv/ready
	$(BIN)/python -m benchmarks.spiking $(PARTS) $(if $(DATA),--data $(DATA))

# Go on, or measure some layers again: make bench-srbs LAYERS=vgg16.conv3_1,resnet18.layer4
bench-srbs: .venv/ready
	$(BIN)/python -m benchmarks.srbs $(if $(LAYERS),--layers $(LAYERS))

# Go on, or one of them: make bench-srbs-networks NETWORKS=resnet18
bench-srbs-networks: .venv/ready
	$(BIN)/python -m benchmarks.srbs_networks $(if $(NETWORKS),--networks $(NETWORKS))

bench-srbs-accuracy: .venv/ready
	$(BIN)/python -m benchmarks.srbs_accuracy

# Go on, or measure some layers again: make bench-winograd LAYERS=vgg16.conv3_1,resnet18.layer4
bench-winograd: .venv/ready
	$(BIN)/python -m benchmarks.winograd $(if $(LAYERS),--layers $(LAYERS))
	$(if $(LAYERS),,$(BIN)/python -m benchmarks.winograd_networks)

# Random networks through the whole way: make fuzz N=200
fuzz: .venv/ready
	HWGEN_FUZZ=$(or $(N),50) $(BIN)/python -m pytest tests/whole -q

clean:
	rm -rf build .venv

# The lock pins every version; `hwgen` itself is installed in place.
.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hwgen needs Python 3.11 or newer; name one with make PYTHON=...")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@
